// What a page passes on of mouse and keys: positions in pixels of the picture, one question at a time.
(function () {
  "use strict";
  const MOVES = ["move", "follow"];
  const queue = [];
  let busy = false;

  function ask(name, args) {
    return window.trame.trigger(name, args);
  }

  // moves and wheel steps come faster than they are drawn: those that wait become one
  async function send(kind, x, y, extra) {
    const last = queue[queue.length - 1];
    if (last && last[0] === kind && MOVES.includes(kind)) queue.pop();
    if (last && last[0] === kind && kind === "wheel") extra += queue.pop()[3];
    queue.push([kind, x, y, extra]);
    if (busy) return;
    busy = true;
    try {
      while (queue.length) await ask("viscera_mouse", queue.shift());
    } finally {
      busy = false;
    }
  }

  function attach(panes) {
    const on = (event, kind, extra) =>
      panes.addEventListener(
        event,
        (happened) => {
          const box = panes.getBoundingClientRect();
          send(kind(happened), happened.clientX - box.left, happened.clientY - box.top, extra(happened));
        },
        { passive: true },
      );
    send("leave", 0, 0, 0); // the mouse of a page that was open before
    new ResizeObserver(() => ask("viscera_size", [panes.clientWidth, panes.clientHeight])).observe(panes);
    panes.addEventListener("contextmenu", (event) => event.preventDefault());
    panes.addEventListener("wheel", (event) => event.preventDefault(), { passive: false });
    panes.addEventListener("pointerdown", (event) => panes.setPointerCapture(event.pointerId));
    on("pointerdown", () => "down", (event) => event.button);
    on("pointerup", () => "up", (event) => event.button);
    on("pointermove", (event) => (event.shiftKey && !event.buttons ? "follow" : "move"), (event) => event.buttons);
    on("pointerleave", () => "leave", () => 0);
    on("dblclick", () => "double", () => 0);
    on("wheel", () => "wheel", (event) => (event.deltaY < 0 ? 1 : -1));
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
      window.trame.state.watch(["number"], (number) => ask("viscera_shown", [number]));
    }
  }, 50);
})();
