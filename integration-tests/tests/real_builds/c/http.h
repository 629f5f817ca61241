void answer(int connection, const char *body);
