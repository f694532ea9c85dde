// Follows a run while it goes on: one native EventSource, resumed by the browser with Last-Event-ID.
// Without JavaScript the page reloads itself every few seconds instead.

const ENDS = new Set(["complete", "complete_with_errors", "error"]);
const BOX = 1000; // as the server draws it
const number = new Intl.NumberFormat("en");

for (const view of document.querySelectorAll("[data-run-events]")) follow(view);

function follow(view) {
  const show = field => view.querySelector(`[data-live="${field}"]`);
  const speeds = [];
  const source = new EventSource(view.dataset.runEvents);
  source.addEventListener("message", message => {
    const told = JSON.parse(message.data);
    paint(show, told);
    if (Number.isFinite(told.second) && Number.isFinite(told.rate)) {
      speeds.push([told.second, told.rate]);
      draw(view.querySelector("[data-live-chart]"), speeds);
    }
    if (ENDS.has(told.status)) {
      source.close();
      // The server draws the end: the certificate, the counts, what is next; without the notice of the beginning.
      location.replace(location.pathname);
    }
  });
}

function paint(show, told) {
  for (const field of ["line", "left", "calls", "until", "stage"]) {
    const place = show(field);
    if (place && told[field] !== undefined) place.textContent = told[field];
  }
  for (const field of ["fetched", "inserted", "updated", "messages"]) {
    const place = show(field);
    if (place && Number.isFinite(told[field])) place.textContent = number.format(told[field]);
  }
  const bar = show("bar");
  if (bar && told.total) {
    bar.max = told.total;
    bar.value = Math.min(told.fetched ?? 0, told.total);
  }
  const speed = show("speed");
  if (speed && Number.isFinite(told.rate)) speed.textContent = told.rate.toFixed(told.rate < 10 ? 1 : 0);
}

function draw(chart, speeds) {
  if (!chart || speeds.length < 2) return;
  const last = speeds[speeds.length - 1][0] || 1;
  const most = ceiling(Math.max(...speeds.map(([, rate]) => rate)));
  const points = speeds.map(([second, rate]) => `${round(BOX * second / last)},${round(BOX - BOX * rate / most)}`);
  chart.querySelector(".line").setAttribute("points", points.join(" "));
  const first = round(BOX * speeds[0][0] / last);
  chart.querySelector(".area").setAttribute("points", `${first},${BOX} ${points.join(" ")} ${BOX},${BOX}`);
  const labels = chart.querySelectorAll("[data-most], [data-last]");
  for (const label of labels) {
    label.textContent = label.hasAttribute("data-most") ? number.format(Math.round(most)) : `${Math.round(last)} s`;
  }
}

function ceiling(most) {
  if (most <= 1) return 2;
  const unit = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 8, 10].map(step => step * unit).find(round => round >= most);
}

function round(place) {
  return Math.round(place * 10) / 10;
}
