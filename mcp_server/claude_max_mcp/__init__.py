"""An MCP server through which one person's programs use their own Claude subscription, by the official CLI.

The rooms, from the outside in; each knows only what is below it:

* `commands`, `serve`, `caller`, `demo`: the command line and the process.
* `question`, `screen`, `gauges`, `placement`, `exits`, `manual`: what the commands do for people.
* `doctor`, `machine`, `reach`, `findings`: a look at the whole chain, for people.
* `page`, `connect`: the page for people, and the settings that clients need.
* `http`, `messages_api`, `door`, `disconnects`, `listener`, `stdio`, `tools`, `resources`, `progress`: HTTP and MCP.
* `service`, `knowledge`, `sessions`, `scratch`: the service as a whole, what it knows and keeps.
* `journal`, `metrics`, `spans`, `logs`, `tracing`: what became of requests, for those who look on.
* `conversations`, `kept`, `conversation`, `login`, `history`, `transcript`, `caller_tools`: live conversations.
* `models`, `turn`, `merging`, `message`, `failures`: a request's options, its answer, its error.
* `admission`, `pool`: who runs, and on which warm process; they know nothing of Claude.
* `worker`, `launch`, `protocol`: one `claude` process and what it says.
* `wire`, `errors`, `settings`: the contract, the one error family, the only reader of the environment.
* `standin`: an offline Messages API for tests, benchmarks and `--offline`; nothing above needs it.
"""
