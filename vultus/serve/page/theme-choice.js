// Light, dark, or as the system has it; kept in this browser.

const STORED = "vultus.theme";

export const THEMES = [
  ["system", "System", "system"],
  ["light", "Light", "sun"],
  ["dark", "Dark", "moon"],
];

/** The choice: "system", "light" or "dark". */
export function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

/** Set the choice and keep it. */
export function setTheme(value) {
  if (value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
  try {
    if (value === "system") localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, value);
  } catch (error) {
    console.warn("the choice of colors is not kept:", error.message); // storage is switched off
  }
}
