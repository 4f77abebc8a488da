/**
 * Linux tracepoints in a plain TypeScript program: a small job queue that can be watched like a kernel.
 *
 *   node dist/tracepoints.js                      ftrace text on the terminal
 *   node dist/tracepoints.js out.dat              for trace-cmd report and KernelShark
 *   node dist/tracepoints.js out.json             for Chrome's and Perfetto's trace viewers
 */
import { writeFileSync } from "node:fs";
import { defineEvent, exportChromeTrace, exportTraceDat, TraceArray } from "ktracepoint";

// 1. Events: C declarations and a C print format, so that Linux's own tools can read the records.
const jobQueued = defineEvent({
  system: "jobs",
  name: "job_queued",
  fields: ["int job", "char name[16]"],
  print: '"job=%d name=%s", REC->job, REC->name',
});
const jobDone = defineEvent({
  system: "jobs",
  name: "job_done",
  fields: ["int job", "unsigned long result", "unsigned int micros"],
  print: '"job=%d result=%lu micros=%u", REC->job, REC->result, REC->micros',
});

// 2. The world that the records mention: who runs, and what time it is.
const now = () => Math.round(performance.now() * 1e6);
const tracing = new TraceArray(
  {
    currentPid: () => process.pid,
    currentTgid: () => process.pid,
    currentComm: () => "job-queue",
    currentCpu: () => 0,
    currentFlags: () => 0,
    cpuCount: 1,
    clocks: new Map([["local", now]]),
  },
  [jobQueued, jobDone],
);

// 3. The program. While an event is off, its call costs one test of a boolean.
function fibonacci(n: number): number {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

function runJobs(): void {
  for (let job = 0; job < 12; job++) {
    jobQueued.trace(job, `fib(${job * 2})`);
    const started = now();
    const result = fibonacci(job * 2);
    jobDone.trace(job, result, Math.round((now() - started) / 1000));
  }
}

// 4. What to watch, in the words of tracefs.
tracing.selection.setEvent("jobs:*");
tracing.selection.applyFilter("job >= 8", tracing.selection.match("jobs:*"));
runJobs();

const [file] = process.argv.slice(2);
if (file === undefined) process.stdout.write(tracing.readText());
else if (file.endsWith(".json")) writeFileSync(file, exportChromeTrace(tracing));
else writeFileSync(file, exportTraceDat(tracing));
