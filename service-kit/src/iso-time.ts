let lastMs = Number.NaN;
let text = '';

/** The current time in UTC, as `2026-11-20T12:34:56.789Z`. Formatted at most once per millisecond. */
export function isoNow(): string {
  const nowMs = Date.now();
  if (nowMs !== lastMs) {
    lastMs = nowMs;
    text = new Date(nowMs).toISOString();
  }
  return text;
}
