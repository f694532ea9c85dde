// Follows a run in progress with one native EventSource; the browser resumes it with Last-Event-ID.
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
    const values = JSON.parse(message.data);
    paint(show, values);
    if (Number.isFinite(values.second) && Number.isFinite(values.rate)) {
      speeds.push([values.second, values.rate]);
      draw(view.querySelector("[data-live-chart]"), speeds);
    }
    if (ENDS.has(values.status)) {
      source.close();
      // The server shows the end: completeness, counts, the next step; without the notice of the start.
      location.replace(location.pathname);
    }
  });
}

function paint(show, values) {
  for (const field of ["line", "left", "calls", "until", "expected"]) {
    const place = show(field);
    if (place && values[field] !== undefined) place.textContent = values[field];
  }
  for (const field of ["fetched", "messages", "differences"]) {
    const place = show(field);
    if (place && Number.isFinite(values[field])) place.textContent = number.format(values[field]);
  }
  const bar = show("bar");
  if (bar) {
    bar.classList.toggle("waits", values.is_waiting);
    if (Number.isFinite(values.share)) {
      bar.max = 100;
      bar.value = values.share;
    } else {
      // Without a value it only moves: how much is left is not known.
      bar.removeAttribute("value");
    }
  }
  const speed = show("speed");
  if (speed && Number.isFinite(values.rate)) speed.textContent = values.rate.toFixed(values.rate < 10 ? 1 : 0);
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
