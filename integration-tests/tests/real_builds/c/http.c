#include "http.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void answer(int connection, const char *body)
{
	char request[4096], response[4096];
	if (read(connection, request, sizeof request) <= 0)
		return;
	int length = snprintf(response, sizeof response, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
			      strlen(body), body);
	if (write(connection, response, length) != length)
		perror("write");
}
