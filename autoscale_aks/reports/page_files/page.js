"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("jobs");
  if (!box || !data.names) return;
  const names = data.names.split("\n");
  const slots = data.slots, queue = data.queue, user = data.user, group = data.group;
  const $ = (id) => document.getElementById(id);
  const body = document.querySelector("#list tbody");
  const heads = [...document.querySelectorAll("#list thead th")];
  const LABELS = ["Job", "Slots", "Queue", "User", "Reason"];
  const PAGE = 25;
  let page = 0, sorted = -1, falling = false;
  let order = Array.from(names, (_, i) => i);
  let shown = order;

  const text = [
    (i) => names[i],
    (i) => slots[i].toLocaleString("en"),
    (i) => data.queues[queue[i]],
    (i) => data.users[user[i]],
    (i) => data.reasons[group[i]].code,
  ];
  const small = names.map((name) => name.toLowerCase());
  const smallQueues = data.queues.map((name) => name.toLowerCase());
  const smallUsers = data.users.map((name) => name.toLowerCase());

  data.reasons.forEach((reason, number) => {
    const option = document.createElement("option");
    option.value = String(number);
    option.textContent = `${reason.code} (${reason.jobs.toLocaleString("en")}): ${reason.message.slice(0, 80)}`;
    $("reason").append(option);
  });

  function filter() {
    const wanted = $("q").value.trim().toLowerCase();
    const reason = $("reason").value === "" ? -1 : Number($("reason").value);
    shown = order.filter((i) => (reason < 0 || group[i] === reason) &&
      (wanted === "" || small[i].includes(wanted) || smallQueues[queue[i]].includes(wanted) ||
       smallUsers[user[i]].includes(wanted)));
    page = 0;
    draw();
  }

  function sort(column) {
    falling = sorted === column ? !falling : column === 1;
    sorted = column;
    const collator = new Intl.Collator("en", { numeric: true });
    const ranks = [
      null,
      null,
      rank(data.queues, collator),
      rank(data.users, collator),
      rank(data.reasons.map((one) => one.code), collator),
    ];
    const keys = { 2: queue, 3: user, 4: group };
    const sign = falling ? -1 : 1;
    const compare = column === 0 ? (a, b) => collator.compare(names[a], names[b])
      : column === 1 ? (a, b) => slots[a] - slots[b]
      : (a, b) => ranks[column][keys[column][a]] - ranks[column][keys[column][b]];
    order = Array.from(names, (_, i) => i).sort((a, b) => sign * compare(a, b) || a - b);
    heads.forEach((head, number) =>
      head.setAttribute("aria-sort", number !== column ? "none" : falling ? "descending" : "ascending"));
    filter();
  }

  function rank(words, collator) {
    const ordered = words.map((_, i) => i).sort((a, b) => collator.compare(words[a], words[b]));
    const found = new Array(words.length);
    let place = -1, last;
    for (const i of ordered) {
      if (words[i] !== last) { place += 1; last = words[i]; }
      found[i] = place;
    }
    return found;
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    const rows = shown.slice(page * PAGE, page * PAGE + PAGE).map((i) => {
      const row = document.createElement("tr");
      row.setAttribute("role", "row");
      text.forEach((of, column) => {
        const cell = document.createElement(column ? "td" : "th");
        cell.setAttribute("role", column ? "cell" : "rowheader");
        if (column) cell.dataset.label = LABELS[column]; else cell.scope = "row";
        if (column === 1) cell.className = "n";
        if (column === 4) cell.title = data.reasons[group[i]].message;
        cell.textContent = of(i);
        row.append(cell);
      });
      return row;
    });
    body.replaceChildren(...rows);
    $("found").textContent = `${shown.length.toLocaleString("en")} of ${names.length.toLocaleString("en")} jobs`;
    $("page").textContent = `Page ${(page + 1).toLocaleString("en")} of ${pages.toLocaleString("en")}`;
    $("before").disabled = page === 0;
    $("after").disabled = page + 1 >= pages;
  }

  let timer = 0;
  $("q").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 120); });
  $("reason").addEventListener("change", filter);
  $("before").addEventListener("click", () => { page -= 1; draw(); });
  $("after").addEventListener("click", () => { page += 1; draw(); });
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
  box.hidden = false;
  draw();
})();
