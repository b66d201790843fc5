// Light, dark, or as the system has it.
import { by } from './dom.js';

const themes = ['system', 'light', 'dark'], stored = 'clarion-theme';

export function startTheme() {
  const button = by('theme');
  let theme = 'system';
  try { theme = localStorage.getItem(stored) ?? theme; } catch { /* without storage, a choice lasts as long as the page */ }
  const set = () => {
    if (!themes.includes(theme)) theme = 'system';
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.addEventListener('click', () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem(stored, theme); } catch { /* as above */ }
    set();
  });
  set();
}
