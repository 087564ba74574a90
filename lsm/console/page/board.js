// The LED board as seen from the sample, in numerical apertures: what is chosen, and what the firmware really showed.

import { command } from "./api.js";
import { at, make, percent, svg, toast, whole } from "./dom.js";

let chosen = new Set(), leds = [], last = {}, lit = false, light = null;
const named = new Map();
// Choices are sent one after another: a click on an LED changes what the one before came to.
let before = Promise.resolve(), waiting = 0, answered = 0, followed = 0;

export function startBoard(rig) {
  const board = at("board");
  const edge = Math.max(...rig.leds.flat().map(Math.abs), rig.na) * 1.08;
  board.setAttribute("viewBox", `${-edge} ${-edge} ${2 * edge} ${2 * edge}`);
  board.append(svg("line", { class: "axis", x1: -edge, x2: edge, y1: 0, y2: 0 }), svg("line", { class: "axis", x1: 0, x2: 0, y1: -edge, y2: edge }));
  const radius = ledRadius(rig.leds);
  leds = rig.leds.map(([x, y], index) => {
    const led = svg("circle", { class: "led", cx: x, cy: y, r: radius, "data-led": index, role: "button", tabindex: index === 0 ? 0 : -1 });
    led.setAttribute("aria-label", `LED ${index}, NA ${Math.hypot(x, y).toFixed(3)}`);
    board.append(led);
    return led;
  });
  board.append(svg("circle", { class: "rim", cx: 0, cy: 0, r: rig.na }));
  at("rim-na").textContent = "NA " + rig.na;
  board.addEventListener("click", event => toggle(event.target.closest(".led")));
  board.addEventListener("keydown", event => walk(event, rig));
  presets(rig);
  rig.colours.forEach(colour => at("colour").append(make("option", {}, colour)));
  at("colour").value = rig.colours.includes("green") ? "green" : rig.colours[0];
  at("colour").addEventListener("change", again);
  at("brightness").addEventListener("input", tellBrightness);
  at("brightness").addEventListener("change", again);
}

function ledRadius(places) {
  let least = Infinity;
  const some = places.slice(0, 40);
  some.forEach(([x, y], one) => places.forEach(([u, v], other) => { if (one !== other) least = Math.min(least, Math.hypot(x - u, y - v)); }));
  return Number.isFinite(least) ? 0.4 * least : 0.02;
}

function presets(rig) {
  const add = (label, light) => {
    named.set(label, light);
    const button = make("button", { type: "button", class: "steer", "data-name": label }, label);
    button.addEventListener("click", () => choose(light));
    at("presets").append(button);
  };
  rig.presets.forEach(preset => add(preset, preset === "annulus" ? { preset, na_min: 0.7 * rig.na, na: 1.3 * rig.na } : { preset }));
  rig.designed.forEach((name, designed) => { if (name !== "bright field") add(name, { designed }); });
}

// wanted: the light, or what makes it of the LEDs chosen by then.
function choose(wanted) {
  waiting += 1;
  before = before.then(async () => {
    last = typeof wanted === "function" ? wanted() : wanted;
    const now = await command("PUT", "/api/light", { ...last, colour: at("colour").value, brightness: Number(at("brightness").value) });
    waiting -= 1;
    if (now) answered = now.light.choice;
    if (now) take(now.light);
    else if (light) {
      followed = 0;
      follow();
    }
  });
  return before;
}

const again = () => choose(() => Object.keys(last).length ? last : { leds: [...chosen] });

const take = now => { chosen = new Set(now.asked.map(each => each[0])); };

// The light as it is, which another page may have chosen, or this one before it was loaded anew.
function follow() {
  take(light);
  if (light.choice === followed) return;
  followed = light.choice;
  last = named.get(light.name) || {};
  if ([...at("colour").options].some(each => each.value === light.colour)) at("colour").value = light.colour;
  if (document.activeElement !== at("brightness")) {
    at("brightness").value = light.brightness;
    tellBrightness();
  }
}

const tellBrightness = () => { at("brightness-text").textContent = percent(Number(at("brightness").value), 0); };

function toggle(led) {
  if (!led) return;
  const index = Number(led.dataset.led);
  choose(() => {
    if (new Set(light.asked.map(each => Math.max(...each.slice(1)))).size > 1)
      toast("LEDs that are chosen one by one shine alike: the levels of the pattern are gone.");
    const others = [...chosen].filter(each => each !== index);
    const now = others.length === chosen.size ? [...others, index] : others;
    return now.length ? { leds: now.sort((a, b) => a - b) } : { preset: "dark" };
  });
}

// Arrow keys go to the next LED in that direction; space and enter switch it.
function walk(event, rig) {
  const led = event.target.closest(".led");
  if (!led) return;
  if (event.key === " " || event.key === "Enter") {
    event.preventDefault();
    toggle(led);
    return;
  }
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!way) return;
  event.preventDefault();
  const [x, y] = rig.leds[led.dataset.led];
  let best = null, least = Infinity;
  rig.leds.forEach(([u, v], index) => {
    const along = (u - x) * way[0] + (v - y) * way[1], aside = Math.abs((u - x) * way[1]) + Math.abs((v - y) * way[0]);
    if (along > 1e-6 && along + 3 * aside < least) { least = along + 3 * aside; best = index; }
  });
  if (best === null) return;
  led.setAttribute("tabindex", -1);
  leds[best].setAttribute("tabindex", 0);
  leds[best].focus();
}

const glow = levels => {
  const most = Math.max(...levels);
  const tint = levels.length === 3 ? levels.map(level => Math.round(255 * level / most)) : [255, 216, 107];
  // full colours are hard to see on black: halfway to white, dimmed by the level
  const share = 0.45 + 0.55 * most / 255;
  return `rgb(${tint.map(level => Math.round(share * (110 + 145 * level / 255))).join(" ")})`;
};

// Between frames the board is dark: without any to come, what glowed is shown faintly.
export function showWhetherLit(machine) {
  lit = ["live", "running", "busy"].includes(machine.doing);
  at("board").classList.toggle("dark", !lit);
  if (light) showLight(light);
}

export function showLight(now) {
  light = now;
  if (light.choice === 0) answered = followed = 0;  // the console was started anew
  if (!waiting && light.choice >= answered) follow();
  const asked = new Set(light.asked.map(each => each[0]));
  leds.forEach((led, index) => {
    led.classList.toggle("asked", asked.has(index));
    led.style.fill = "";
    delete led.dataset.level;
    led.setAttribute("aria-pressed", String(asked.has(index)));
  });
  light.shown.forEach(([index, ...levels]) => {
    leds[index].style.fill = glow(levels);
    leds[index].dataset.level = Math.max(...levels);
  });
  document.querySelectorAll("#presets button").forEach(button => button.setAttribute("aria-pressed", String(button.dataset.name === light.name)));
  const count = light.shown.length;
  at("shown-text").textContent = light.shown_name
    ? `${lit ? "" : "Dark now. "}Last frame: ${light.shown_name}, ${whole(count)} LED${count === 1 ? "" : "s"} read back${light.limited ? ", dimmed to the current limit" : ""}.`
    : "Nothing was shown yet.";
}
