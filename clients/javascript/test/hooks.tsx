/** A program for browser tests: each hook at work, and what it gives within reach of the test. */

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { useConnections, useServerSentEvents, useServiceWorker, useTidings, useWebSocket } from "tidings-client/react";
import type { PageServiceWorker, Stream, StreamOptions } from "tidings-client/react";

interface Props extends StreamOptions {
  hook: "sse" | "websocket" | "auto";
}

declare global {
  interface Window {
    stream: Stream;
    worker: PageServiceWorker;
    told: string[];
    messages: unknown[];
    show(props: Props): void;
    watchWorker(url: string): void;
    leave(): void;
  }
}

const HOOKS = { sse: useServerSentEvents, websocket: useWebSocket, auto: useTidings };

function Following({ hook, ...options }: Props) {
  const useIt = HOOKS[hook];
  const stream = useIt({ ...options, onEvent: ({ id }) => window.told.push(id) });
  const { connections, error, sync } = useConnections(stream.client);
  window.stream = stream;
  return (
    <>
      <ol>
        {stream.events.map(({ id, data }) => (
          <li key={id}>{data.title}</li>
        ))}
      </ol>
      <ul>
        {connections?.map(({ id, platform, state }) => (
          <li key={id}>
            {platform} {state} <button onClick={() => void sync(id)}>Sync</button>
          </li>
        ))}
      </ul>
      <p>{error?.code ?? (connections && `${connections.length} accounts`)}</p>
    </>
  );
}

function Working({ url }: { url: string }) {
  window.worker = useServiceWorker({ url, onMessage: (data) => window.messages.push(data) });
  return null;
}

const root = createRoot(document.body.appendChild(document.createElement("div")));
window.told = [];
window.messages = [];
window.show = (props) => {
  const getToken = props.token ? undefined : async () => (await fetch(`/tidings-token`)).text();
  root.render(<StrictMode><Following {...props} getToken={getToken} /></StrictMode>);
};
window.watchWorker = (url) => root.render(<StrictMode><Working url={url} /></StrictMode>);
window.leave = () => root.render(null);
