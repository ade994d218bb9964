// The way to the API.

export const TOKEN = "pomocore-token";

class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The document behind `path`; throws ApiError, also where nobody answers (status 0). */
export async function ask(path, { body, token = sessionStorage.getItem(TOKEN) } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(path, options).catch(() => {
    throw new ApiError(0, "the server does not answer");
  });
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, document.detail ?? answer.statusText);
  return document;
}
