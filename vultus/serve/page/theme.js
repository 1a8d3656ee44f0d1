// Runs before the first paint, so that a chosen theme does not flash. Without a choice the system's is used.
(function () {
  let chosen = null;
  try {
    chosen = localStorage.getItem("vultus.theme");
  } catch (error) {
    chosen = null; // storage is switched off: follow the system
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
