// Asks for the page again while somebody looks at it, and replaces what has changed, part by part.
'use strict';

(() => {
  const root = document.documentElement;
  if (root.dataset.live !== 'yes') return;

  const EVERY = 2000;
  const PATIENCE = 60000;
  const alarm = document.getElementById('connection');
  let tag = null;
  let answeredAt = new Date();
  let isAsking = false;

  // What somebody reads or marks at this moment must not vanish under the hand.
  const isHeld = (part) => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  };

  const put = (text) => {
    const page = new DOMParser().parseFromString(text, 'text/html');
    let isWhole = true;
    for (const fresh of page.querySelectorAll('[data-part]')) {
      const part = document.querySelector(`[data-part="${fresh.dataset.part}"]`);
      if (!part || part.innerHTML === fresh.innerHTML) continue;
      if (isHeld(part)) {
        isWhole = false;
      } else {
        const places = [...part.querySelectorAll('.scroll')].map((one) => one.scrollLeft);
        part.replaceChildren(...fresh.childNodes);
        [...part.querySelectorAll('.scroll')].forEach((one, at) => { one.scrollLeft = places[at] || 0; });
      }
    }
    document.title = page.title;
    return isWhole;
  };

  const refresh = async () => {
    if (document.hidden || isAsking) return;
    isAsking = true;
    try {
      const answer = await fetch(location.href, {
        cache: 'no-store',
        headers: tag ? { 'If-None-Match': tag } : {},
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.status === 200) {
        tag = put(await answer.text()) ? answer.headers.get('ETag') : null;
      } else if (answer.status !== 304) {
        throw new Error(`the dashboard answers ${answer.status}`);
      }
      answeredAt = new Date();
      alarm.hidden = true;
      root.dataset.refreshed = Number(root.dataset.refreshed || 0) + 1;
    } catch (error) {
      alarm.textContent = `This is how the study stood at ${answeredAt.toLocaleTimeString()}: ${error.message}.`;
      alarm.hidden = false;
    } finally {
      isAsking = false;
    }
  };

  setInterval(refresh, EVERY);
  document.addEventListener('visibilitychange', refresh);
})();
