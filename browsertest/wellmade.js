// Lists what is wrong with the page that it runs in.
(() => {
  const faults = [];
  const visible = e => e.getClientRects().length > 0 && getComputedStyle(e).visibility === "visible";
  const all = selector => [...document.querySelectorAll(selector)].filter(visible);
  const name = e => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + " " + (e.textContent || e.name || "").trim().slice(0, 30);

  const wide = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide() > 0) faults.push(`the page is ${wide()} px wider than the screen`);
  // Ids are random. An id of wide letters has to fit, too.
  const before = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walk.nextNode());) before.push([text, text.data]);
  for (const [text, data] of before) {
    const widest = data.replace(/(?<=msg_)\w+|(?<=-aa-)\w+/g, id => "W".repeat(id.length));
    if (widest !== data) text.data = widest;
  }
  if (wide() > 0) faults.push(`with ids of wide letters the page is ${wide()} px wider than the screen`);
  for (const [text, data] of before) if (text.data !== data) text.data = data;
  if (all("main").length !== 1) faults.push("there is not one main landmark");
  if (all("h1").length !== 1) faults.push("there is not one h1");
  if (!document.documentElement.lang) faults.push("the page has no language");
  if (!document.title) faults.push("the page has no title");

  for (const e of all("input:not([type=hidden]), select, textarea"))
    if (!e.labels.length && !e.ariaLabel) faults.push("no label: " + name(e));
  for (const e of all("button, select, input:not([type=radio], [type=checkbox], [type=hidden])"))
    if (e.getBoundingClientRect().height < 36) faults.push("too small to touch: " + name(e));
  const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
  for (const id of ids) if (ids.filter(other => other === id).length > 1) faults.push("id used twice: " + id);
  for (const e of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
    for (const id of ((e.getAttribute("aria-describedby") || "") + " " + (e.getAttribute("aria-labelledby") || "")).trim().split(/\s+/))
      if (!document.getElementById(id)) faults.push("described by nothing: " + id);

  // The contrast is computed as in WCAG 2. Every colour here is opaque or fully transparent.
  const rgb = colour => colour.match(/[\d.]+/g).map(Number);
  const luminance = colour => rgb(colour).slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const background = e => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (rgb(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  for (const e of all("body *")) {
    if (![...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.textContent.trim())) continue;
    const [light, dark] = [luminance(getComputedStyle(e).color), luminance(background(e))].sort((a, b) => b - a);
    const ratio = (light + .05) / (dark + .05);
    if (ratio < 4.5 && !e.closest(":disabled")) faults.push(`contrast ${ratio.toFixed(1)}: ${name(e)}`);
  }
  return faults;
})()
