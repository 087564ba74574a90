"use strict";
(() => {
  const section = document.getElementById("cells");
  const cards = [...section.querySelectorAll(".queued")];
  const text = document.getElementById("text");
  const operator = document.getElementById("operator");
  const answers = new Map();
  const key = "lsm-review " + section.dataset.digest;
  const SAYS = { i: "infected", n: "not infected", u: "unsure", x: "" };

  const table = () => ({
    version: "lsm-review-answers/1",
    slide: section.dataset.slide,
    report_digest: section.dataset.digest,
    operator: operator.value.trim(),
    answers: Object.fromEntries(cards.map(card => card.id).filter(id => answers.has(id)).map(id => [id, answers.get(id)])),
  });
  const written = () => JSON.stringify(table(), null, 1) + "\n";

  // Where the browser lets a local file keep something, a reloaded page has the answers still.
  const keep = () => { try { localStorage.setItem(key, written()); } catch { /* the page keeps them */ } };
  const kept = () => { try { return JSON.parse(localStorage.getItem(key)) || {}; } catch { return {}; } };

  const show = () => {
    cards.forEach((card, place) => {
      const said = answers.get(card.id) || "";
      card.dataset.said = said;
      card.setAttribute("aria-label", "Cell " + (place + 1) + ", " + (said || "no answer yet"));
      card.querySelectorAll("button").forEach(button => button.setAttribute("aria-pressed", String(button.dataset.say === said)));
    });
    document.getElementById("progress").textContent = answers.size + " of " + cards.length + " answered";
    text.value = written();
  };
  const say = (card, said) => {
    if (said) answers.set(card.id, said); else answers.delete(card.id);
    show();
    keep();
  };
  const go = (card, step) => {
    const next = cards[cards.indexOf(card) + step];
    if (next) next.focus();
  };

  section.addEventListener("click", event => {
    const button = event.target.closest("button[data-say]");
    if (!button) return;
    const card = button.closest(".queued");
    say(card, answers.get(card.id) === button.dataset.say ? "" : button.dataset.say);
  });
  // Single keys work only while a cell has the focus, so that they disturb no other use of the keyboard.
  section.addEventListener("keydown", event => {
    const card = event.target.closest(".queued");
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    const pressed = event.key.toLowerCase();
    if (pressed in SAYS) {
      say(card, SAYS[pressed]);
      go(card, SAYS[pressed] ? 1 : 0);
    } else if (pressed === "j" || pressed === "k") go(card, pressed === "j" ? 1 : -1);
    else return;
    event.preventDefault();
  });
  operator.addEventListener("input", () => { show(); keep(); });
  document.getElementById("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([written()], { type: "application/json" }));
    link.download = "answers.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  document.getElementById("copy").addEventListener("click", () => {
    text.hidden = !text.hidden;
    if (!text.hidden) text.select();
  });

  const before = kept();
  operator.value = before.operator || "";
  Object.entries(before.answers || {}).forEach(([id, said]) => answers.set(id, said));
  section.querySelectorAll("[hidden]").forEach(each => { if (each !== text) each.hidden = false; });
  show();
})();
