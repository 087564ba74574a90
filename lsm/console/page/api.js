// Requests to the console, and who steers.

const KEY = "lsm-console-key";
let key = sessionStorage.getItem(KEY) || "";
let whenRefused = () => {}, refused = false;

export const controlKey = () => key;
export const steering = () => key !== "";
export const onRefusal = tell => { whenRefused = tell; };

const keep = value => {
  key = value;
  if (value) sessionStorage.setItem(KEY, value); else sessionStorage.removeItem(KEY);
};

export class Refused extends Error {
  constructor(status, told) {
    super(told.message + (told.hint ? " " + told.hint[0].toUpperCase() + told.hint.slice(1) + "." : ""));
    this.status = status;
  }
}

export async function call(method, path, body) {
  const headers = { "X-LSM-Control": key };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  let told = { message: "The console answered " + answer.status + ".", hint: "" };
  try {
    const said = await answer.json();
    if (said.message) told = said;
  } catch { /* it has no body */ }
  if (answer.status === 423) keep("");
  throw new Refused(answer.status, told);
}

// A command of the page; what goes wrong is told on the page, until something that was asked for is done.
export async function command(method, path, body) {
  try {
    const answer = await call(method, path, body);
    if (refused && method !== "GET") whenRefused(null);
    refused = refused && method === "GET";
    return answer;
  } catch (error) {
    refused = true;
    whenRefused(error);
    return null;
  }
}

export async function takeControl(name, force = false) {
  const answer = await call("POST", "/api/control", { name, force });
  keep(answer.key);
}

export async function dropControl() {
  await call("DELETE", "/api/control").catch(() => {});
  keep("");
}

export const forgetControl = () => keep("");
