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

  const say = (text) => {
    alarm.textContent = text;
    alarm.hidden = false;
  };

  // What somebody marks, presses or points at in this moment must not vanish under the hand.
  const isHeld = (part) => {
    if (part.matches(':active') || part.querySelector('svg :hover')) return true;
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && selection.containsNode(part, true);
  };

  // What the tabulator key stops at: links, and tables that can be moved.
  const STOPS = 'a:not([tabindex="-1"]), [tabindex="0"]';
  // Many rows lead to one trial: the first link of a row says which row it is.
  const named = (stop) => [stop.closest('tr')?.querySelector('a'), stop]
    .map((one) => one?.getAttribute('href') ?? one?.getAttribute('aria-label') ?? '')
    .join(' ');

  const swap = (part, fresh) => {
    const focused = part.contains(document.activeElement) ? named(document.activeElement) : null;
    const places = [...part.querySelectorAll('.scroll')].map((one) => one.scrollLeft);
    part.replaceChildren(...fresh.childNodes);
    [...part.querySelectorAll('.scroll')].forEach((one, at) => { one.scrollLeft = places[at] || 0; });
    if (focused) {
      const same = [...part.querySelectorAll(STOPS)].find((stop) => named(stop) === focused);
      if (same) same.focus({ preventScroll: true });
    }
  };

  // Whether all that has changed was replaced.
  const put = (text) => {
    const page = new DOMParser().parseFromString(text, 'text/html');
    if (!page.querySelector('[data-part]')) throw new Error('something else answers at this address');
    let isWhole = true;
    for (const fresh of page.querySelectorAll('[data-part]')) {
      const part = document.querySelector(`[data-part="${fresh.dataset.part}"]`);
      if (!part || part.innerHTML === fresh.innerHTML) continue;
      if (isHeld(part)) {
        isWhole = false;
      } else {
        swap(part, fresh);
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
      if (answer.status === 401) {
        // Asking on would ask the reader for the password again and again.
        clearInterval(timer);
        document.removeEventListener('visibilitychange', refresh);
        say('The dashboard asks for another token now: load the page again.');
        return;
      }
      if (answer.status === 200) {
        tag = put(await answer.text()) ? answer.headers.get('ETag') : null;
      } else if (answer.status !== 304) {
        throw new Error(`the dashboard answers ${answer.status}`);
      }
      answeredAt = new Date();
      alarm.hidden = true;
    } catch (error) {
      say(`This is how the study stood at ${answeredAt.toLocaleTimeString()}: ${error.message}.`);
    } finally {
      isAsking = false;
    }
  };

  const timer = setInterval(refresh, EVERY);
  document.addEventListener('visibilitychange', refresh);
})();
