FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /venv
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

FROM python:3.13-slim
# The root is the working directory: `cmd` is found there before the standard library's module of that name
WORKDIR /app
COPY --from=build /venv /venv
COPY domains domains
COPY infrastructure infrastructure
COPY cmd cmd
RUN printf '#!/venv/bin/python\nimport sys\nsys.path.insert(0, "/app")\nfrom infrastructure.command_line import main\nmain()\n' \
        > /usr/local/bin/pomocore && chmod +x /usr/local/bin/pomocore
RUN python -m compileall -q domains infrastructure cmd
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    APP_ENV=prod
RUN useradd --system --uid 10001 --no-create-home pomocore && install -d -o pomocore /data
LABEL org.opencontainers.image.title="Pomocore data pipeline" org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="0.2.0"
USER 10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["python", "-m", "cmd.healthcheck"]
CMD ["python", "-m", "cmd.stream_consumer"]
