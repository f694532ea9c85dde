// Three comforts on top of what works without JavaScript: `/` goes to the search, a box ticks all rows that
// are shown, and a line says how many are ticked.

const SEARCH = "input[type=search]";

document.addEventListener("keydown", event => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  event.preventDefault();
  const field = document.querySelector(`main ${SEARCH}`);
  if (field) {
    field.focus();
    field.select();
  } else if (document.querySelector("nav.places")) {
    location.assign("/search#q");
  }
});
if (location.hash === "#q") document.querySelector(SEARCH)?.focus();

for (const form of document.querySelectorAll("form[data-many]")) watch(form);

function watch(form) {
  const rows = [...document.querySelectorAll(`input[type=checkbox][name=id][form=${form.getAttribute("id")}]`)];
  const every = document.querySelector("[data-every]");
  const all = form.querySelector("input[name=all]");
  const said = form.querySelector("[data-selected]");
  const show = () => {
    const ticked = rows.filter(row => row.checked).length;
    if (every) {
      every.checked = ticked === rows.length;
      every.indeterminate = ticked > 0 && ticked < rows.length;
    }
    if (said) said.textContent = all?.checked ? said.dataset.all : ticked ? `${ticked} selected` : said.dataset.none;
  };
  if (every) {
    every.closest("label").hidden = false;
    every.addEventListener("change", () => {
      for (const row of rows) row.checked = every.checked;
      show();
    });
  }
  for (const box of all ? [...rows, all] : rows) box.addEventListener("change", show);
  show();
}
