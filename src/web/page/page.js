
"use strict";
(() => {
  const LIMITS = { devices: 1024, results: 200 };
  const byId = (id) => document.getElementById(id);
  const numbers = new Intl.NumberFormat("en");
  const n = (value) => numbers.format(value);
  const rows = { devices: new Map(), results: new Map() };
  const cards = {};
  let started = 0;

  /* Text only ever goes in as text. */
  function element(name, text, style) {
    const e = document.createElement(name);
    if (text !== undefined) e.textContent = text;
    if (style) e.className = style;
    return e;
  }

  function localTime(seconds) {
    const when = new Date(seconds * 1000);
    const today = when.toDateString() === new Date().toDateString();
    return today ? when.toLocaleTimeString() : when.toLocaleString();
  }

  function time(seconds) {
    const e = element("time", localTime(seconds));
    e.dateTime = new Date(seconds * 1000).toISOString();
    return e;
  }

  function percent(part, whole) { return whole > 0 ? Math.floor(part * 100 / whole) : 0; }

  function bar(part, whole) {
    const e = element("progress");
    e.max = whole;
    e.value = part;
    return e;
  }

  function download(d) {
    if (!d) return [];
    return [bar(d.sent, d.size), element("span", `user${d.slot} build ${d.build}: ${n(d.sent)} of ` +
      `${n(d.size)} bytes (${percent(d.sent, d.size)} %), ${n(d.speed)} bytes/s`)];
  }

  function last(r) {
    if (!r) return [];
    const slot = `user${r.slot}: `;
    if (r.not_taken) return [element("span", slot + "fetched before, not taken", "bad")];
    if (r.reason) return [element("span", slot + r.reason, "bad")];
    return [element("span", slot + (r.complete ? "delivered" : `answered ${r.status}`),
      r.complete ? "good" : "")];
  }

  function runs(r) {
    return r ? [element("span", `slot ${r.slot}, build ${r.build}`, "good")] : [];
  }

  function deviceCells(d) {
    return [["Address", [element("span", d.client)]], ["Runs", runs(d.runs)],
      ["Download", download(d.download)], ["Last result", last(d.last)],
      ["Updates", [element("span", `${n(d.updates)}, failures ${n(d.failures)}`)]],
      ["Seen", [time(d.seen)]]];
  }

  function outcome(r) {
    const list = [];
    if (r.turned_away) list.push(["turned away: " + r.reason, "bad"]);
    else if (r.complete) list.push([`${n(r.size)} bytes in ${(r.milliseconds / 1000).toFixed(1)} s`, "good"]);
    else if (r.reason) {
      const part = r.sent > 0 ? ` after ${n(r.sent)} of ${n(r.size)} bytes` : "";
      list.push([`${r.status}${part}: ${r.reason}`, "bad"]);
    } else list.push([String(r.status), ""]);
    if (r.runs) list.push([`now runs build ${r.runs.build} in slot ${r.runs.slot}`, "good"]);
    if (r.not_taken) list.push(["has not taken what it fetched before", "bad"]);
    return [list.reduce((all, [text, style]) => {
      if (all.childNodes.length) all.append("; ");
      all.append(element("span", text, style));
      return all;
    }, element("span"))];
  }

  function resultCells(r) {
    const request = r.turned_away ? "" : `${r.method} ${r.target}` + (r.build ? ` (build ${r.build})` : "");
    return [["Time", [time(r.time)]], ["Address", [element("span", r.client)]],
      ["Request", request ? [element("span", request)] : []], ["Result", outcome(r)]];
  }

  function fill(row, cells) {
    row.replaceChildren(...cells.map(([label, content]) => {
      const cell = element("td");
      cell.dataset.label = label;
      const box = element("div");
      box.append(...content);
      if (content.length) cell.append(box);
      return cell;
    }));
  }

  function show(table, key, cells) {
    const known = rows[table];
    const body = byId(table);
    let row = known.get(key);
    if (!row) {
      row = element("tr");
      row.dataset.key = key;
      body.prepend(row);
      known.set(key, row);
      if (known.size > LIMITS[table]) {
        known.delete(body.lastElementChild.dataset.key);
        body.lastElementChild.remove();
      }
    }
    fill(row, cells);
  }

  function slot(s) {
    const list = element("dl");
    const add = (name, ...content) => {
      const value = element("dd");
      value.append(...content);
      list.append(element("dt", name), value);
    };
    if (s.elf) add("ELF", s.elf);
    if (s.reason) add(s.elf ? "Refused" : "Empty", element("span", s.reason, s.elf ? "bad" : "soft"));
    if (s.build) {
      add("Size", `${n(s.size)} of ${n(s.limit)} bytes (${percent(s.size, s.limit)} %)`, bar(s.size, s.limit));
      add("SHA-256", element("code", s.sha256));
      add("Build", `${s.build}, converted `, time(s.converted));
    }
    cards[s.slot].querySelector("dl").replaceWith(list);
    const part = byId(`image-${s.slot}`);
    if (part) part.setAttribute("width", s.build ? s.size : 0);
  }

  function totals(t) {
    byId("totals").textContent = `Devices: ${n(t.devices)}, downloading: ${n(t.downloading)}. ` +
      `Delivered: ${n(t.complete)}, broken off: ${n(t.broken)}, bytes: ${n(t.image_bytes)}. ` +
      `Updated: ${n(t.updates)}, not taken: ${n(t.not_taken)}. Turned away: ${n(t.turned_away)}.`;
  }

  function live(on) {
    const e = byId("live");
    e.textContent = on ? "live" : "not connected; trying again";
    e.className = on ? "live" : "lost";
  }

  for (const table of Object.keys(rows)) {
    for (const row of byId(table).children) rows[table].set(row.dataset.key, row);
  }
  for (const number of [1, 2]) cards[number] = byId(`slot-${number}`);
  for (const e of document.querySelectorAll("time")) e.textContent = localTime(Date.parse(e.dateTime) / 1000);

  const source = new EventSource("events");
  const on = (name, handle) => source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  source.onopen = () => live(true);
  source.onerror = () => {
    live(false);
    /* A refusal is final for the browser; not for us. */
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10000);
  };
  on("server", (s) => {
    if (started && s.started !== started) location.reload();
    started = s.started;
  });
  on("slot", slot);
  on("device", (d) => show("devices", d.client, deviceCells(d)));
  on("result", (r) => show("results", String(r.number), resultCells(r)));
  on("totals", totals);
})();
