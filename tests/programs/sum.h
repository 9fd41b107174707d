long sum(int to);
