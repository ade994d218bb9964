// The way to the API.

import { t } from "./texts.js";

export const TOKEN = "pomocore-token";

class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The answer's headers and body come from `path`; throws ApiError, also where nobody answers (status 0). */
async function answered(path, { body, token = sessionStorage.getItem(TOKEN) } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(path, options).catch(() => {
    throw new ApiError(0, t("no-answer"));
  });
  if (answer.ok) return answer;
  const isText = answer.headers.get("Content-Type")?.startsWith("text/plain"); // of a page
  const detail = isText ? await answer.text() : (await answer.json().catch(() => ({}))).detail;
  throw new ApiError(answer.status, detail ?? answer.statusText);
}

/** The JSON behind `path`. */
export const ask = async (path, options) => (await answered(path, options)).json();

/** The HTML behind `path`. */
export const askPage = async (path) => (await answered(path)).text();
