// Times arrive in UTC and in words; this script shows them in the reader's own time zone.

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) continue;
  if (time.dataset.shape === "clock") time.textContent = clock.format(at);
  if (time.dataset.shape === "moment") time.textContent = day.format(at);
  time.title = day.format(at);
}
