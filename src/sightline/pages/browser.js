// The sample browser of a report: filter, search and page through the samples that the page carries.
"use strict";
for (const root of document.querySelectorAll("[data-browser]")) {
  const { samples, pictures } = JSON.parse(root.querySelector("script").textContent);
  const chips = [...root.querySelectorAll(".chips button")];
  const field = (name) => root.querySelector(`[data-field=${name}]`);
  const [task, category, seen, search] = ["task", "category", "seen", "text"].map(field);
  const pager = root.querySelector(".pager");
  const PAGE = 24;
  const signs = { right: "✓", partly: "≈", wrong: "✗", unparsed: "?", error: "!" };
  let tag = "", page = 0;

  for (const sample of samples) {
    const said = sample.answers.map((answer) => `${answer.text} ${answer.parsed ?? ""}`);
    sample.text = [sample.id, sample.question, ...sample.options, ...sample.gold, ...said].join("\n").toLowerCase();
    sample.shots = sample.pictures.filter((key) => key in pictures);
  }

  function choices(select, name, values) {
    const kept = select.value;
    select.replaceChildren(...["", ...values].map((value) => new Option(value || `All ${name}`, value)));
    select.value = values.includes(kept) ? kept : "";
    select.hidden = values.length < 2;
  }

  const distinct = (name, among) => [...new Set(among.map((sample) => sample[name]))].filter(Boolean);

  function make(kind, name, ...children) {
    const element = document.createElement(kind);
    if (name) element.className = name;
    element.append(...children);
    return element;
  }

  function verdict(answer) {
    const body = make("div", "");
    if (answer.label) body.append(make("em", "", answer.label));
    body.append(answer.text || "(empty)");
    const read = { error: "no answer came", unparsed: "nothing could be read out of it" }[answer.status];
    const differs = answer.parsed !== null && answer.parsed.trim() !== answer.text.trim();
    if (read || differs) body.append(make("small", "", read ?? `read as ${answer.parsed || "(empty)"}`));
    const tone = { right: "right", partly: "", unparsed: "" }[answer.status] ?? "wrong";
    return make("div", `verdict ${tone}`, make("span", "sign", signs[answer.status]), body);
  }

  function option(sample, text, index) {
    const letter = String.fromCharCode(65 + index);
    return make("li", sample.gold.includes(letter) ? "gold" : "", `${letter}. ${text}`);
  }

  function card(sample) {
    const body = make("div", "body");
    const place = [distinct("task", samples).length > 1 ? sample.task : "", sample.category].filter(Boolean).join(" · ");
    body.append(make("div", "kind", make("span", "", place), make("code", "", sample.id)));
    body.append(make("div", "question", sample.question));
    if (sample.options.length) body.append(make("ul", "options", ...sample.options.map((text, index) => option(sample, text, index))));
    body.append(make("div", "gold", "Gold: ", make("b", "", [...new Set(sample.gold)].join(" / "))));
    if (sample.prompt && sample.prompt !== sample.question) body.append(make("details", "", make("summary", "", "Prompt"), make("pre", "", sample.prompt)));
    body.append(make("div", "verdicts", ...sample.answers.map(verdict)));
    const shots = make("div", "shots");
    for (const key of sample.shots) {
      const image = make("img", "");
      image.src = pictures[key];
      image.alt = `Picture of ${sample.id}`;
      image.onload = () => image.classList.toggle("small", image.naturalWidth <= 128);
      shots.append(image);
    }
    return make("article", "card", ...(sample.shots.length ? [shots] : []), body);
  }

  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    choices(category, "categories", distinct("category", samples.filter((sample) => !task.value || sample.task === task.value)));
    const among = samples.filter((sample) =>
      (!task.value || sample.task === task.value) && (!category.value || sample.category === category.value) &&
      (!seen.checked || sample.shots.length) && words.every((word) => sample.text.includes(word)));
    for (const chip of chips) {
      const count = among.filter((sample) => !chip.dataset.tag || sample.tag === chip.dataset.tag).length;
      chip.querySelector("span").textContent = count.toLocaleString("en");
      chip.setAttribute("aria-pressed", String(chip.dataset.tag === tag));
    }
    const found = among.filter((sample) => !tag || sample.tag === tag);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    root.querySelector(".found").textContent = found.length ? `${found.length.toLocaleString("en")} of ${samples.length.toLocaleString("en")} samples` : "No sample fits these filters.";
    root.querySelector(".cards").replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(card));
    pager.hidden = pages === 1;
    pager.querySelector("span").textContent = `${page + 1} of ${pages}`;
    for (const button of pager.querySelectorAll("button")) {
      const next = page + Number(button.dataset.step);
      button.disabled = next < 0 || next >= pages;
    }
  }

  function turn(step) {
    page += step;
    show();
    root.scrollIntoView({ block: "start" });
  }

  function filter() {
    page = 0;
    show();
  }

  for (const chip of chips) chip.onclick = () => { tag = chip.dataset.tag; filter(); };
  for (const input of [task, category, seen]) input.onchange = filter;
  search.oninput = filter;
  for (const button of pager.querySelectorAll("button")) button.onclick = () => turn(Number(button.dataset.step));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("select, input[type=search]");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target === search) { search.value = ""; search.blur(); filter(); }
    if (typing) return;
    if (event.key === "/") { event.preventDefault(); search.focus(); }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && root.getBoundingClientRect().top < innerHeight && !pager.hidden && !pager.querySelector(`[data-step="${step}"]`).disabled) turn(step);
  });

  choices(task, "tasks", distinct("task", samples));
  seen.checked = samples.some((sample) => sample.shots.length) && samples.some((sample) => sample.pictures.length && !sample.shots.length);
  seen.parentElement.hidden = !samples.some((sample) => !sample.shots.length) || !Object.keys(pictures).length;
  root.querySelector(".tools").hidden = false;
  show();
}
