/** A first-in-first-out list of tasks, linked through the tasks themselves: no allocation. */
import type { Task } from "../task/task.ts";

export class TaskQueue {
  first: Task | null = null;
  #last: Task | null = null;
  length = 0;

  push(task: Task): void {
    task.nextInQueue = null;
    if (this.#last === null) this.first = task;
    else this.#last.nextInQueue = task;
    this.#last = task;
    this.length++;
  }

  /** Behind the tasks of the same or a higher real-time priority. */
  insertByPriority(task: Task): void {
    let before: Task | null = null;
    let after = this.first;
    while (after !== null && after.realtimePriority >= task.realtimePriority) {
      before = after;
      after = after.nextInQueue;
    }
    task.nextInQueue = after;
    if (before === null) this.first = task;
    else before.nextInQueue = task;
    if (after === null) this.#last = task;
    this.length++;
  }

  shift(): Task | null {
    const task = this.first;
    if (task === null) return null;
    this.first = task.nextInQueue;
    if (this.first === null) this.#last = null;
    task.nextInQueue = null;
    this.length--;
    return task;
  }

  /** False if the task is not in this queue. */
  remove(task: Task): boolean {
    let before: Task | null = null;
    for (let at = this.first; at !== null; at = at.nextInQueue) {
      if (at === task) {
        if (before === null) this.first = task.nextInQueue;
        else before.nextInQueue = task.nextInQueue;
        if (this.#last === task) this.#last = before;
        task.nextInQueue = null;
        this.length--;
        return true;
      }
      before = at;
    }
    return false;
  }
}
