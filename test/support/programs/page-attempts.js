// Runs in a page of the browser.

/** What a page can try on a server that is not its own, and what came of it: the attempts that brought something. */
globalThis.attempts = async (target) => {
  const successes = [];
  const refusals = [];
  const attempt = (name, trying) => {
    refusals.push(
      trying.then(
        () => void successes.push(name),
        () => undefined,
      ),
    );
  };
  const element = (tag, attributes) =>
    new Promise((resolve, reject) => {
      const made = Object.assign(document.createElement(tag), attributes, {
        onload: resolve,
        onerror: reject,
      });
      document.body.append(made);
    });
  const socket = (url) =>
    new Promise((resolve, reject) => {
      const made = new WebSocket(url, 'httpfstream.v2');
      made.onopen = () => resolve(made.send('bytes'));
      made.onerror = reject;
    });
  // No script can see what comes of these; the server is asked afterwards.
  const unseen = { mode: 'no-cors', method: 'POST', body: 'bytes' };
  await fetch(`${target}/new?verb=APPEND`, unseen).catch(() => undefined);
  await fetch(`${target}/f`, { ...unseen, headers: { 'content-type': 'text/plain' } }).catch(() => undefined);
  await fetch(`${target}/f`, { mode: 'no-cors' }).catch(() => undefined);
  navigator.sendBeacon(`${target}/beacon?verb=APPEND`, 'bytes');
  const frame = Object.assign(document.createElement('iframe'), { name: 'frame' });
  document.body.append(frame);
  const form = Object.assign(document.createElement('form'), {
    action: `${target}/form?verb=APPEND`,
    method: 'POST',
    enctype: 'text/plain',
    target: 'frame',
  });
  document.body.append(form);
  await new Promise((resolve) => {
    frame.onload = resolve;
    form.submit();
  });

  attempt('read', fetch(`${target}/f`));
  attempt('list', fetch(`${target}/`));
  attempt('follow', fetch(`${target}/f?verb=FOLLOW`));
  attempt('read a stream', fetch(`${target}/f?offset=-1`));
  attempt('put', fetch(`${target}/put`, { method: 'PUT', body: 'bytes' }));
  attempt('follow by WebSocket', socket(`${target.replace('http', 'ws')}/f`));
  attempt('append by WebSocket', socket(`${target.replace('http', 'ws')}/websocket?verb=APPEND`));
  attempt('image', element('img', { src: `${target}/dot.png` }));
  attempt('script', element('script', { src: `${target}/script.js` }));
  attempt('style', element('link', { rel: 'stylesheet', href: `${target}/style.css` }));
  const events = new EventSource(`${target}/f?offset=-1&live=sse`);
  attempt(
    'events',
    new Promise((resolve, reject) => {
      events.onopen = resolve;
      events.onerror = reject;
    }),
  );
  await Promise.all(refusals);
  // When the others have had what it takes away.
  attempt('delete', fetch(`${target}/f`, { method: 'DELETE' }));
  await Promise.all(refusals);
  return successes.sort();
};
