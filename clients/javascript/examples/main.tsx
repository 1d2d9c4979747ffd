/** Puts the feed on a page; your bundler builds this. */

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Feed } from "./feed.js";

/** Your own server makes the JWT, for whoever its cookie says is there. */
async function getToken(): Promise<string> {
  const answer = await fetch("/tidings-token");
  if (!answer.ok) throw new Error(`No token: ${answer.status}`);
  return answer.text();
}

const root = document.getElementById("root");
const url = root?.dataset.tidings ?? "https://tidings.example.org";
if (root) createRoot(root).render(<StrictMode><Feed url={url} getToken={getToken} /></StrictMode>);
