/** Checking and repairing file systems. */
export { check, type CheckOptions, type CheckReport } from "./check.ts";
export { type Problem, type ProblemCode, PROBLEMS, type Severity } from "./problems.ts";
