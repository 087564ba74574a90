// The stage seen from above, inside its limits; where fields were looked at; the focus.

import { command } from "./api.js";
import { at, svg } from "./dom.js";

let rig, here = [0, 0], z = 0, marks, plan, wide;
let aim = [0, 0], aimZ = 0, underway = 0, before = Promise.resolve(); // where the moves that were asked for end

export function startStage(facts) {
  rig = facts;
  const [x0, x1] = rig.x_um, [y0, y1] = rig.y_um;
  wide = Math.max(x1 - x0, y1 - y0, 1);
  const pad = 0.07 * wide, map = at("map");
  map.setAttribute("viewBox", `${x0 - pad} ${y0 - pad} ${x1 - x0 + 2 * pad} ${y1 - y0 + 2 * pad}`);
  map.append(svg("rect", { class: "limit", x: x0, y: y0, width: x1 - x0, height: y1 - y0, "stroke-width": wide / 300 }));
  const size = wide / 32;
  map.append(svg("text", { x: x0, y: y0 - 0.3 * size, "font-size": size }, `${x0}, ${y0} µm`));
  map.append(svg("text", { x: x1, y: y1 + 1.1 * size, "font-size": size, "text-anchor": "end" }, `${x1}, ${y1} µm`));
  rig.obstacles.forEach(each => map.append(svg("rect", { class: "obstacle", x: each.x_um[0], y: each.y_um[0], width: each.x_um[1] - each.x_um[0], height: each.y_um[1] - each.y_um[0] })));
  marks = svg("g");
  plan = svg("g", { id: "plan" });
  map.append(marks, plan, svg("g", { id: "here" }));
  map.addEventListener("click", event => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    go(point.x, point.y);
  });
  document.querySelectorAll("[data-move]").forEach(button => button.addEventListener("click", () => {
    const [dx, dy] = button.dataset.move.split(",").map(Number), step = Number(at("step").value);
    go(aim[0] + dx * step, aim[1] + dy * step);
  }));
  document.querySelectorAll("[data-focus]").forEach(button => button.addEventListener("click", () => focus(aimZ + Number(button.dataset.focus))));
  at("z").min = rig.z_um[0];
  at("z").max = rig.z_um[1];
  at("z").addEventListener("change", () => {
    const to = at("z").valueAsNumber;
    if (Number.isNaN(to)) at("z").value = round(z); else focus(to);
  });
}

const round = value => Math.round(10 * value) / 10;

function go(x, y) {
  aim = [round(x), round(y)];
  move({ x_um: aim[0], y_um: aim[1] });
}

function focus(to) {
  aimZ = round(to);
  move({ z_um: aimZ });
}

// Moves are sent one after another: two requests on their way at once may come in the other order.
function move(to) {
  underway += 1;
  before = before.then(async () => {
    const state = await command("POST", "/api/move", to);
    underway -= 1;
    if (state) showPlace(state.machine);
    else if (!underway) {
      [aim, aimZ] = [here, z];
      at("z").value = round(z);
    }
  });
}

export function showPlace(machine) {
  if (!machine.xy_um) {
    at("where").textContent = "Where the stage is, the first frame will tell.";
    return;
  }
  here = machine.xy_um;
  z = machine.z_um;
  if (!underway) [aim, aimZ] = [here, z];
  if (document.activeElement !== at("z")) at("z").value = round(z);
  at("where").textContent = `x ${here[0].toFixed(1)}  y ${here[1].toFixed(1)} µm,  z ${z.toFixed(1)} µm of ${rig.z_um[0]} to ${rig.z_um[1]}`;
  const [width, height] = rig.field_um || [wide / 40, wide / 40], arm = wide / 30;
  at("here").replaceChildren(
    svg("rect", { class: "here", x: here[0] - width / 2, y: here[1] - height / 2, width, height, "stroke-width": wide / 250 }),
    svg("line", { class: "cross", x1: here[0] - arm, x2: here[0] + arm, y1: here[1], y2: here[1], "stroke-width": wide / 500 }),
    svg("line", { class: "cross", x1: here[0], x2: here[0], y1: here[1] - arm, y2: here[1] + arm, "stroke-width": wide / 500 }));
}

export function showFields(fields) {
  const [width, height] = rig.field_um || [wide / 40, wide / 40];
  marks.replaceChildren(...fields.map(([x, y, fault]) => {
    const mark = svg("rect", { class: fault ? "field faulty" : "field", x: x - width / 2, y: y - height / 2, width, height, "stroke-width": wide / 500 });
    if (fault) mark.append(svg("title", {}, fault));
    return mark;
  }));
}

// The fields that a run would go on with, and those that it has; nothing without one.
export function showPlan(outline) {
  const [width, height] = rig.field_um || [wide / 40, wide / 40];
  const each = (places, kind) => places.map(([x, y]) => svg("rect", { class: kind, x: x - width / 2, y: y - height / 2, width, height, "stroke-width": wide / 300 }));
  marks.style.display = outline ? "none" : "";
  plan.replaceChildren(...(outline ? [...each(outline.seen, "field"), ...each(outline.coming, "coming")] : []));
}
