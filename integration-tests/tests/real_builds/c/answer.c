#include "http.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void stop(int signal)
{
	_exit(0);
}

int main(int count, char **words)
{
	if (count != 2)
		return 2;
	if (strcmp(words[1], "--check") == 0)
		return puts("checked") < 0;
	signal(SIGTERM, stop);
	struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
	int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&place, sizeof place) || listen(listener, 8)) {
		perror("listen");
		return 1;
	}
	char body[256];
	snprintf(body, sizeof body, "C says %s as %d\n", WORD, (int)getuid());
	for (;;) {
		int connection = accept(listener, NULL, NULL);
		answer(connection, body);
		close(connection);
	}
}
