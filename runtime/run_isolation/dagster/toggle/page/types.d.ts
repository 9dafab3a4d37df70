// What the modules hand to each other. For the type checker only: browsers never load it.

/** What the open Launchpad would launch. */
export interface Target {
  location: string;
  repository: string;
  job: string;
  assets: string[][];
}

/** The answer of `slots`; see SlotState in endpoints.py. */
export interface Slots {
  state: 'absent' | 'free' | 'full' | 'unknown';
  location?: string;
  held?: number;
  holders?: {run_id: string; location: string; since: string}[];
}

/** The answer of `history`; see History in history.py. */
export interface History {
  runs: number;
  seconds?: number;
  peak_mib?: number;
  fits?: boolean;
  shared_start_seconds?: number;
}

/** A piece of a line: text, or a run to link to. */
export type Part = string | {run: string};

/** What the toggle looks like. */
export interface Look {
  checked: boolean;
  disabled: boolean;
  lines: Part[][];
}
