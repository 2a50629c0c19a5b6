"use strict";
(() => {
  const root = document.documentElement;

  // Colours: automatic, light, dark, in turn.
  const button = document.getElementById("theme");
  const themes = ["automatic", "light", "dark"];
  let theme = 0;
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = (theme + 1) % themes.length;
    if (theme === 0) delete root.dataset.theme;
    else root.dataset.theme = themes[theme];
    button.textContent = "Colours: " + themes[theme];
  });

  // Contents: mark the section that is read.
  const links = new Map();
  for (const link of document.querySelectorAll(".contents a")) {
    const target = document.getElementById(link.hash.slice(1));
    if (target) links.set(target, link);
  }
  const targets = [...links.keys()];
  let marked = null;
  const mark = () => {
    const line = window.innerHeight / 3;
    let current = targets[0];
    for (const target of targets) if (target.getBoundingClientRect().top <= line) current = target;
    if (current === marked) return;
    if (marked) links.get(marked).removeAttribute("aria-current");
    links.get(current).setAttribute("aria-current", "true");
    marked = current;
  };
  window.addEventListener("scroll", mark, { passive: true });
  mark();

  // Parts that only make sense with this script.
  for (const part of document.querySelectorAll(".script-only")) part.hidden = false;

  const source = document.getElementById("map-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const frame = document.getElementById("map-frame");
  const drawing = document.getElementById("map-drawing");
  const pointer = document.getElementById("map-pointer");
  const tip = document.getElementById("map-tip");
  const states = ["passed over", "selected", "reference set"];
  const hidden = new Set();

  // Task buttons in place of the plain legend.
  const buttons = new Map();
  const layers = new Map();
  for (const layer of drawing.querySelectorAll("[data-layer-task]")) {
    const name = layer.dataset.layerTask;
    if (!layers.has(name)) layers.set(name, []);
    layers.get(name).push(layer);
  }
  const show = (name, visible) => {
    if (visible) hidden.delete(name);
    else hidden.add(name);
    buttons.get(name).setAttribute("aria-pressed", String(visible));
    for (const layer of layers.get(name) || []) layer.style.display = visible ? "" : "none";
  };
  const list = document.getElementById("map-tasks");
  for (const item of list.querySelectorAll("li")) {
    const name = item.dataset.task;
    const toggle = document.createElement("button");
    toggle.type = "button";
    toggle.className = "toggle";
    toggle.append(...item.firstElementChild.childNodes);
    item.replaceChildren(toggle);
    buttons.set(name, toggle);
    toggle.setAttribute("aria-pressed", "true");
    toggle.addEventListener("click", () => show(name, hidden.has(name)));
  }
  const add = (text, visible) => {
    const item = document.createElement("li");
    const all = document.createElement("button");
    all.type = "button";
    all.className = "toggle";
    all.textContent = text;
    all.addEventListener("click", () => { for (const name of buttons.keys()) show(name, visible); });
    item.append(all);
    list.append(item);
  };
  if (buttons.size > 1) { add("show all", true); add("hide all", false); }

  // Pointing at the map finds the nearest visible dot.
  const nearest = (x, y, reach) => {
    let best = -1;
    let least = reach * reach;
    for (let i = 0; i < data.x.length; i += 1) {
      const dx = data.x[i] - x;
      const dy = data.y[i] - y;
      const distance = dx * dx + dy * dy;
      if (distance < least && !hidden.has(data.names[data.tasks[i]])) { least = distance; best = i; }
    }
    return best;
  };
  const clear = () => { tip.hidden = true; pointer.setAttribute("d", ""); };
  const point = (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width;
    const found = nearest((event.clientX - box.left) * scale, (event.clientY - box.top) * scale, 18 * scale);
    if (found < 0) { clear(); return; }
    const x = data.x[found];
    const y = data.y[found];
    const radius = 7 * scale;
    pointer.setAttribute("d", `M${x - radius} ${y}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`);
    const title = document.createElement("b");
    title.textContent = data.names[data.tasks[found]] + ", " + states[data.states[found]];
    tip.replaceChildren(title, data.ids[found]);
    tip.hidden = false;
    const left = x / scale;
    const top = y / scale;
    tip.style.left = Math.max(4, Math.min(left + 14, frame.clientWidth - tip.offsetWidth - 4)) + "px";
    tip.style.top = (top + 14 + tip.offsetHeight < frame.clientHeight ? top + 14 : Math.max(4, top - 14 - tip.offsetHeight)) + "px";
  };
  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerdown", point);
  drawing.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") clear(); });
})();
