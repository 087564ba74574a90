// Small helpers for elements.

export const at = id => document.getElementById(id);

export function make(tag, values = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (name in element && typeof value !== "string") element[name] = value; else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function svg(tag, values = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

export const percent = (share, digits = 2) => (100 * share).toFixed(digits) + " %";
export const brief = number => String(Number(number.toPrecision(4)));
export const whole = number => Math.round(number).toLocaleString("en");

let fading = 0;
export function toast(words) {
  at("toast").textContent = words;
  clearTimeout(fading);
  fading = setTimeout(() => { at("toast").textContent = ""; }, 7000);
}
