// Puts the page together: what the state says goes to the panels, what the operator does goes to the console.

import { call, command, controlKey, dropControl, forgetControl, onRefusal, Refused, steering, takeControl } from "./api.js";
import { showLight, showWhetherLit, startBoard } from "./board.js";
import { showCalibration, startCalibration } from "./calibrate.js";
import { at, make, toast } from "./dom.js";
import { events, frames } from "./link.js";
import { drawFrame, showMachine, shownSide, startLive } from "./live.js";
import { listReviews, startReview } from "./review.js";
import { earlier, runOn, showRun, startRuns } from "./run.js";
import { showFields, showPlace, startStage } from "./stage.js";

const WORDS = { idle: "Idle, dark", live: "Live", busy: "Working", running: "Run is on", paused: "Run is paused", stopped: "STOPPED: dark and still", fault: "Fault" };
const me = sessionStorage.getItem("lsm-console-name") || "page " + Math.random().toString(36).slice(2, 6);
sessionStorage.setItem("lsm-console-name", me);
let machine = null, holder = "", calibration = null;

onRefusal(error => { toast(error ? error.message : ""); showControl(); });

function showControl() {
  const mine = steering();
  document.body.classList.toggle("watching", !mine);
  at("who").textContent = mine ? "You steer" : holder ? `'${holder}' steers, you watch` : "Nobody steers";
  at("control").textContent = mine ? "Let go" : holder ? "Take over" : "Take control";
}

async function toggleControl() {
  try {
    if (steering()) await dropControl(); else await takeControl(me, holder !== "");
    toast("");
  } catch (error) {
    toast(error.message);
  }
  showControl();
}

// The stop goes its own way: no control is needed, nothing waits for it.
async function stop() {
  try {
    const answer = await call("POST", "/api/stop");
    toast(`Dark after ${answer.dark_ms.toFixed(0)} ms. Nothing moves or shines until the stop is released.`);
  } catch (error) {
    toast(error instanceof Refused ? "STOP: " + error.message : "STOP did not reach the rig: no connection. Stop it there.");
  }
}

function showState(news) {
  if (news.control) {
    holder = news.control.holder;
    if (holder !== me) {
      if (steering() && holder) toast(`'${holder}' has taken over.`);
      forgetControl();
    }
    showControl();
  }
  if (news.calibration) {
    // who comes to a calibration that is open came for it
    if (!calibration && news.calibration.status !== "closed" && !runOn(news.run)) at("tab-calibrate").click();
    calibration = news.calibration;
    showCalibration(calibration);
  }
  if (news.machine) {
    if (machine?.halted && !news.machine.halted) toast("");
    machine = news.machine;
  }
  if (news.machine || news.calibration) {
    const measuring = machine.doing === "running" && ["measuring", "ending"].includes(calibration.status);
    at("doing").textContent = measuring ? "Measuring" : WORDS[machine.doing];
  }
  if (news.machine) {
    at("doing").className = "chip " + machine.doing;
    document.body.classList.toggle("halted", machine.halted);
    at("release").hidden = !machine.halted;
    const fault = machine.fault;
    at("notice").textContent = fault ? `${fault.message} ${fault.hint}` : machine.halted ? "Release the stop when it is safe to go on." : "";
    at("notice").title = at("notice").textContent;
    at("notice").className = fault ? "fault" : "";
    showMachine(machine);
    showPlace(machine);
    showWhetherLit(machine);
  }
  if (news.light) showLight(news.light);
  if (news.run) {
    showRun(news.run);
    showFields(news.run.fields);
    if (!runOn(news.run)) earlier().then(listReviews);
  }
  if (news.log) showLog(news.log.lines);
}

function showLog(lines) {
  at("log").replaceChildren(...[...lines].reverse().map(line => make("li", {}, make("time", {}, line.at.slice(11, 19)), make("span", { class: line.kind }, line.message + (line.hint ? " " + line.hint : "")))));
}

function tabs() {
  const all = [...document.querySelectorAll("[role=tab]")];
  const show = tab => {
    all.forEach(each => {
      const on = each === tab;
      each.setAttribute("aria-selected", String(on));
      each.tabIndex = on ? 0 : -1;
      at(each.getAttribute("aria-controls")).hidden = !on;
    });
    tab.focus();
  };
  all.forEach((tab, place) => {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", event => {
      const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (way) show(all[(place + way + all.length) % all.length]);
    });
  });
}

async function signIn() {
  const told = new URLSearchParams(location.hash.slice(1)).get("token");
  if (told) {
    history.replaceState(null, "", location.pathname);
    await call("POST", "/api/login", { token: told });
    return;
  }
  const dialog = at("login");
  dialog.showModal();
  await new Promise(done => { dialog.onclose = done; });
  await call("POST", "/api/login", { token: at("token").value });
}

async function rigFacts() {
  for (;;) {
    try {
      return await call("GET", "/api/rig");
    } catch (error) {
      if (error.status === 401) await signIn().catch(refused => toast(refused.message));
      else await new Promise(done => { setTimeout(done, 1000); });
    }
  }
}

async function start() {
  at("stop").addEventListener("click", stop);
  document.addEventListener("keydown", event => { if (event.key === "Escape") { event.preventDefault(); stop(); } }, true);
  at("control").addEventListener("click", toggleControl);
  at("release").addEventListener("click", () => command("POST", "/api/release"));
  tabs();
  const rig = await rigFacts();
  at("rig-name").textContent = rig.name + (rig.simulated && rig.name !== "simulated" ? ", simulated" : " rig");
  document.title = `lsm console: ${rig.name}`;
  startBoard(rig);
  startStage(rig);
  startRuns();
  startCalibration();
  startReview();
  if (!steering()) await takeControl(me).catch(() => {});
  showControl();
  const connection = there => { if (!there) { at("doing").textContent = "No connection"; at("doing").className = "chip gone"; } };
  events(showState, connection, controlKey);
  startLive(rig, frames((picture, facts) => drawFrame(picture, facts, rig), shownSide));
}

start();
