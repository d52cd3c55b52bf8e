// What a page passes on of mouse and keys: positions in pixels of the picture, one question at a time.
(function () {
  "use strict";
  let busy = false;
  let waiting = null;
  let wheel = 0;

  function ask(name, args) {
    return window.trame.trigger(name, args);
  }

  // moves pile up faster than they are drawn: only the last one waits
  async function send(kind, args) {
    if (busy) {
      waiting = [kind, args];
      return;
    }
    busy = true;
    try {
      await ask("viscera_mouse", [kind, ...args]);
    } finally {
      busy = false;
      if (waiting) {
        const [next, rest] = waiting;
        waiting = null;
        send(next, rest);
      }
    }
  }

  function place(event, panes) {
    const box = panes.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  function attach(panes) {
    new ResizeObserver(() => ask("viscera_size", [panes.clientWidth, panes.clientHeight])).observe(panes);
    panes.addEventListener("contextmenu", (event) => event.preventDefault());
    panes.addEventListener("pointerdown", (event) => {
      panes.setPointerCapture(event.pointerId);
      waiting = null;
      ask("viscera_mouse", ["down", ...place(event, panes), event.button]);
    });
    panes.addEventListener("pointerup", (event) => {
      waiting = null;
      ask("viscera_mouse", ["up", ...place(event, panes), event.button]);
    });
    panes.addEventListener("pointermove", (event) => send("move", [...place(event, panes), event.buttons]));
    panes.addEventListener("dblclick", (event) => ask("viscera_mouse", ["double", ...place(event, panes), 0]));
    panes.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        wheel += event.deltaY < 0 ? 1 : -1;
        if (!busy) {
          const steps = wheel;
          wheel = 0;
          send("wheel", [...place(event, panes), steps]);
        }
      },
      { passive: false },
    );
  }

  window.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "range";
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " || event.key.startsWith("Arrow")) event.preventDefault();
    ask("viscera_key", [event.key]);
  });

  const look = setInterval(() => {
    const panes = document.getElementById("panes");
    if (panes && window.trame && window.trame.trigger) {
      clearInterval(look);
      attach(panes);
    }
  }, 50);
})();
