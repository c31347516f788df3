let lastMs = Number.NaN;
let text = '';

/** The time of now in UTC, as `2026-11-20T12:34:56.789Z`. Written anew once a millisecond. */
export function isoNow(): string {
  const nowMs = Date.now();
  if (nowMs !== lastMs) {
    lastMs = nowMs;
    text = new Date(nowMs).toISOString();
  }
  return text;
}
