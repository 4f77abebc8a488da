/** `README`: what this tracefs understands. Tools grep it for features, so it lists only what works. */
export const README_TEXT = `tracing mini-HOWTO:

# echo 0 > tracing_on : quick way to disable tracing
# echo 1 > tracing_on : quick way to re-enable tracing

  trace			- The contents of the buffer
			  To clear the buffer write into this file: echo > trace
  trace_pipe		- A consuming read to see the contents of the buffer
  per_cpu/		- The same per CPU, trace_pipe_raw as binary sub-buffers
  current_tracer	- function and latency tracers; nop only
  available_tracers	- list of configured tracers for current_tracer
  error_log		- error log for failed commands (that support it)
  buffer_size_kb	- view and modify size of per cpu buffer
  buffer_total_size_kb  - view total size of all cpu buffers

  trace_clock		- change the clock used to order events
  timestamp_mode	- view the mode used to timestamp events
  trace_marker		- Writes into this file writes into the kernel buffer
  trace_marker_raw	- Writes into this file writes binary data into the kernel buffer
  tracing_cpumask	- Limit which CPUs to trace
  instances		- Make sub-buffers with: mkdir instances/foo
			  Remove sub-buffer with rmdir
  trace_options		- Set format or modify how tracing happens
			  Disable an option by prefixing 'no' to the option name
  options/		- The same, one file per option
  saved_cmdlines	- Names of the tasks that recorded something: pid name
  saved_cmdlines_size	- echo command number in here to store comm-pid list
  saved_tgids		- Process ids of those tasks (option record-tgid)

  events/		- Directory containing all trace event subsystems:
      enable		- Write 0/1 to enable/disable tracing of all events
  events/<system>/	- Directory containing all trace events for <system>:
      enable		- Write 0/1 to enable/disable tracing of all <system>
			  events
      filter		- If set, only events passing filter are traced
  events/<system>/<event>/	- Directory containing control files for
			  <event>:
      enable		- Write 0/1 to enable/disable tracing of <event>
      filter		- If set, only events passing filter are traced
      format		- Fields of <event> and how they print
      id		- Number of <event>
  available_events	- All events
  set_event		- Enabled events; write <system>:<event>, !<system>:<event>
  set_event_pid		- Record events of these tasks only
  set_event_notrace_pid	- Do not record events of these tasks
`;
