// Suspicious cells of a scan, one answer each, by hand or by key; the verdict follows.

import { command } from "./api.js";
import { at, make, percent } from "./dom.js";

const KEYS = { i: "infected", n: "not infected", u: "unsure", x: null };
const SHORT = { infected: "Infected", "not infected": "Not", unsure: "Unsure" };
let name = "", shown = "";

export function startReview() {
  at("review-run").addEventListener("change", () => open(at("review-run").value));
  at("finish").addEventListener("click", async () => {
    if (await command("POST", `/api/runs/${name}/review/finish`)) at("review-report").replaceChildren(make("a", { href: `/api/runs/${name}/review.html`, target: "_blank", rel: "noopener" }, "Reviewed report"));
  });
  at("cells").addEventListener("click", event => {
    const button = event.target.closest("button[data-say]");
    if (!button) return;
    const card = button.closest(".cell");
    say(card, card.dataset.answer === button.dataset.say ? null : button.dataset.say);
  });
  at("cells").addEventListener("keydown", event => {
    const card = event.target.closest(".cell"), pressed = event.key.toLowerCase();
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    if (pressed in KEYS) {
      say(card, KEYS[pressed]);
      if (KEYS[pressed]) step(card, 1);
    } else if (pressed === "j" || pressed === "k") step(card, pressed === "j" ? 1 : -1);
    else return;
    event.preventDefault();
  });
}

const step = (card, way) => (way > 0 ? card.nextElementSibling : card.previousElementSibling)?.focus();

export async function listReviews(runs) {
  const scans = runs.filter(run => run.reviewable);
  at("review-run").replaceChildren(...scans.map(run => make("option", { value: run.name }, run.name)));
  at("review-run").disabled = !scans.length;
  if (scans.length && scans[0].name !== shown) open(scans[0].name);
}

async function open(wanted) {
  name = shown = wanted;
  const review = await command("GET", `/api/runs/${wanted}/review`);
  if (!review || name !== wanted) return;
  at("cells-empty").hidden = review.cells.length > 0;
  at("cells").replaceChildren(...review.cells.map((cell, place) => card(cell, place, review.cells.length)));
  show(review);
}

function card(cell, place, count) {
  const item = make("div", { id: "cell-" + cell.id, class: "cell", role: "group", tabIndex: 0, "data-answer": "" });
  item.dataset.place = `Cell ${place + 1} of ${count}`;
  const pictures = cell.lights.map((light, index) => light && make("img", { src: `/api/runs/${name}/cells/${cell.id}/${index}.jpg`, alt: `under ${light}`, loading: "lazy" })).filter(Boolean);
  item.append(make("div", { class: "pictures" }, ...pictures));
  item.append(make("div", { class: "facts" }, make("b", {}, percent(cell.probability, 0)), make("span", { class: "quiet" }, `field ${cell.field + 1}`)));
  item.append(make("div", { class: "answers" }, ...Object.entries(SHORT).map(([answer, label]) => make("button", { type: "button", class: "steer", "data-say": answer, "aria-label": `Cell ${place + 1}: ${answer}` }, make("kbd", {}, answer[0]), " " + label))));
  return item;
}

function show(review) {
  let given = 0;
  review.cells.forEach(cell => {
    const item = at("cell-" + cell.id);
    if (!item) return;
    given += cell.answer ? 1 : 0;
    item.dataset.answer = cell.answer || "";
    item.setAttribute("aria-label", `${item.dataset.place}, ${cell.answer || "no answer yet"}`);
    item.querySelectorAll("button").forEach(button => button.setAttribute("aria-pressed", String(button.dataset.say === cell.answer)));
  });
  const told = verdict => [make("b", {}, verdict.outcome), ` ${percent(verdict.estimate.prevalence)} (${percent(verdict.estimate.low)} to ${percent(verdict.estimate.high)})`];
  const words = given ? ["Scan: ", ...told(review.before), ` · with ${given} answer${given === 1 ? "" : "s"}: `, ...told(review.after)] : ["Scan: ", ...told(review.before)];
  at("review-verdict").replaceChildren(...words);
  at("review-report").replaceChildren();
  at("finish").disabled = given === 0;
}

async function say(item, answer) {
  const of = name;
  const review = await command("PUT", `/api/runs/${of}/review/${item.id.slice(5)}`, { answer });
  if (review && name === of) show(review);
}
