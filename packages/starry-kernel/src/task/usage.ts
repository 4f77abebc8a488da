/** CPU time and event counts: what getrusage(2), times(2) and /proc/PID/stat report. */
export class Usage {
  /** Nanoseconds in user mode. */
  userNs = 0;
  /** Nanoseconds in the kernel. */
  systemNs = 0;
  minorFaults = 0;
  majorFaults = 0;
  voluntarySwitches = 0;
  involuntarySwitches = 0;
  /** 512-byte blocks. */
  blocksIn = 0;
  blocksOut = 0;
  /** Pages. */
  maxResidentPages = 0;
  // /proc/PID/io
  bytesRead = 0;
  bytesWritten = 0;
  readCalls = 0;
  writeCalls = 0;

  add(other: Usage): void {
    this.userNs += other.userNs;
    this.systemNs += other.systemNs;
    this.minorFaults += other.minorFaults;
    this.majorFaults += other.majorFaults;
    this.voluntarySwitches += other.voluntarySwitches;
    this.involuntarySwitches += other.involuntarySwitches;
    this.blocksIn += other.blocksIn;
    this.blocksOut += other.blocksOut;
    this.maxResidentPages = Math.max(this.maxResidentPages, other.maxResidentPages);
    this.bytesRead += other.bytesRead;
    this.bytesWritten += other.bytesWritten;
    this.readCalls += other.readCalls;
    this.writeCalls += other.writeCalls;
  }
}
