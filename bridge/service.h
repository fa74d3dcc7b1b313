/* What the service manager is told, where there is one (sd_notify(3)): ready, stopping, still alive. Without
 * one these do nothing. Main thread. */
#ifndef BRIDGE_SERVICE_H
#define BRIDGE_SERVICE_H

void service_ready(void);
void service_stopping(void);

/* Says that we are alive, if the service manager watches and it is time to; the ms after which to call
 * again, -1 where nobody watches. */
int service_alive(void);

#endif
