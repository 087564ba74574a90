// The two WebSockets, opened again whenever they close.

const address = path => (location.protocol === "https:" ? "wss:" : "ws:") + "//" + location.host + path;

function connected(path, { kind, hear, state }) {
  let wait = 500, socket;
  const open = () => {
    socket = new WebSocket(address(path()));
    if (kind) socket.binaryType = kind;
    socket.onopen = () => { wait = 500; state(true); };
    socket.onmessage = event => hear(event.data, socket);
    socket.onclose = () => { state(false); setTimeout(open, wait); wait = Math.min(wait * 2, 5000); };
  };
  open();
  return { say: word => { if (socket.readyState === WebSocket.OPEN) socket.send(word); } };
}

// Sections of the state as they change; `hello` says every few seconds who is still there.
export function events(hear, state, hello) {
  const link = connected(() => "/api/events", { hear: text => hear(JSON.parse(text)), state });
  setInterval(() => link.say(hello()), 5000);
}

// Frames: header and JPEG; the next is asked for when this one is drawn. `side` says with how many pixels of the screen
// they are shown. What is returned tells the console that it has changed.
export function frames(draw, side) {
  const text = new TextDecoder();
  const link = connected(() => "/api/frames?side_px=" + side(), {
    kind: "arraybuffer",
    state: () => {},
    hear: async (data, socket) => {
      const length = new DataView(data).getUint32(0, true);
      const facts = JSON.parse(text.decode(new Uint8Array(data, 4, length)));
      const picture = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
      draw(picture, facts);
      if (socket.readyState === WebSocket.OPEN) socket.send("n");
    },
  });
  return () => link.say(String(side()));
}
