// Zooms into a function that is clicked, and marks those whose names match what is searched for.
"use strict";
const frames = Array.from(document.querySelectorAll("#frames .f")).map((g) => {
  const rect = g.querySelector("rect");
  return {
    g, rect, text: g.querySelector("text"), title: g.querySelector("title").textContent,
    level: Number(g.dataset.l), x: Number(rect.getAttribute("x")),
    width: Number(rect.getAttribute("width")), fill: rect.getAttribute("fill"),
  };
});
const byId = (id) => document.getElementById(id);
const left = 10, whole = 1180, letter = 6.6;
const nameOf = (frame) => frame.title.slice(0, frame.title.lastIndexOf(" ("));

function place(frame, x, width) {
  frame.rect.setAttribute("x", x);
  frame.rect.setAttribute("width", Math.max(width, 0));
  frame.text.setAttribute("x", x + 3);
  const room = Math.floor((width - 6) / letter), name = nameOf(frame);
  frame.text.textContent = name.length <= room ? name : room < 4 ? "" : name.slice(0, room - 2) + "..";
}

function zoom(target) {
  const scale = whole / target.width, end = target.x + target.width;
  for (const frame of frames) {
    const middle = frame.x + frame.width / 2;
    const isCaller = frame.level < target.level && frame.x <= target.x + 0.01 &&
      frame.x + frame.width >= end - 0.01;
    const isInside = frame.level >= target.level && middle > target.x && middle < end;
    frame.g.classList.toggle("hidden", !isCaller && !isInside);
    frame.g.classList.toggle("past", isCaller);
    if (isCaller) place(frame, left, whole);
    if (isInside) place(frame, left + (frame.x - target.x) * scale, frame.width * scale);
  }
  byId("reset").classList.toggle("hidden", target.level === 0);
}

function search() {
  const wanted = window.prompt("Functions to mark (a regular expression); nothing to mark none", "");
  if (wanted === null) return;
  let pattern = null;
  try {
    if (wanted !== "") pattern = new RegExp(wanted);
  } catch (error) {
    byId("found").textContent = "no regular expression: " + wanted;
    return;
  }
  const found = [];
  for (const frame of frames) {
    const matches = pattern !== null && frame.level > 0 && pattern.test(nameOf(frame));
    frame.rect.setAttribute("fill", matches ? "#e600e6" : frame.fill);
    if (matches) found.push(frame);
  }
  // What is in a function that matches already does not count again.
  const outer = found.filter((f) => !found.some((o) => o.level < f.level && o.x <= f.x + 0.01 &&
    o.x + o.width >= f.x + f.width - 0.01));
  const sum = outer.reduce((total, frame) => total + frame.width, 0);
  byId("found").textContent = pattern === null ? " " : "matched: " + (100 * sum / whole).toFixed(2) + "%";
}

for (const frame of frames) {
  frame.g.addEventListener("click", () => zoom(frame));
  frame.g.addEventListener("mouseover", () => { byId("details").textContent = frame.title; });
  frame.g.addEventListener("mouseout", () => { byId("details").textContent = " "; });
}
byId("reset").addEventListener("click", () => zoom(frames[0]));
byId("search").addEventListener("click", search);
window.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "f") {
    event.preventDefault();
    search();
  } else if (event.key === "Escape") {
    zoom(frames[0]);
  }
});
