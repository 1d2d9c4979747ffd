/** What is new, and the connected accounts: a whole application in one component. */

import { useConnections, useServerSentEvents, useServiceWorker } from "tidings-client/react";

export interface FeedProps {
  /** Where tidings is. */
  url: string;
  /** Asks your own server for a JWT of whoever is signed in there. */
  getToken: () => Promise<string>;
}

export function Feed({ url, getToken }: FeedProps) {
  const { events, gap, status, error, client } = useServerSentEvents({ url, getToken, after: "0", limit: 50 });
  const { connections = [], sync } = useConnections(client);
  const { updateReady, update } = useServiceWorker({ url: "/sw.js" });
  return (
    <main>
      <p role="status">{status.state === "waiting" ? `Again in ${Math.ceil(status.retryInMs / 1000)} s` : status.state}</p>
      {error && <p role="alert">{error.message}</p>}
      {updateReady && <button onClick={update}>New version: reload</button>}
      {gap && <p>{gap.count} events are gone.</p>}
      <ul aria-label="Accounts">
        {connections.map(({ id, platform, state }) => (
          <li key={id}>
            {platform}: {state} <button onClick={() => void sync(id)}>Sync now</button>
          </li>
        ))}
      </ul>
      <ol aria-label="News">
        {events.map((event) => (
          <li key={event.id}>{event.data.title ?? event.type}</li>
        ))}
      </ol>
    </main>
  );
}
