"""Writes the inputs of the native workloads into the folder given: big.c for the C compiler proper, bulk.sql and a tenth of
it, small.sql, for sqlite3. The same on every machine."""
import os
import random
import sys

FUNCTIONS, TABLES, ROWS = 160, 40, 350_000


def c_function(random_numbers, index):
    statement = ("  for (int k{j} = 0; k{j} < n; k{j}++) {{ s += (long)tab{table}[(k{j} * {factor} + a) % 64] * b; "
                 "if (s % {modulus} == 0) s ^= f{before}(s & 7, {argument}); }}")
    body = "\n".join(
        statement.format(j=j, table=index % TABLES, factor=random_numbers.randrange(3, 99),
                         modulus=random_numbers.randrange(5, 50), before=index - 1, argument=random_numbers.randrange(9))
        if index else f"  s += a * {j} + b;" for j in range(5))
    return (f"struct S{index} {{ int a; double d[{index % 9 + 1}]; struct S{index} *next; }};\n"
            f"long f{index}(int a, int b) {{\n  int n = 100 + a; long s = a;\n{body}\n"
            "  switch (a % 6) { case 0: return s; case 1: return s * 3;\n"
            "  case 2: return s - b; case 4: return s / (b | 1); default: break; }\n"
            f"  return s ^ {index * 2654435761 % 65536:#x};\n}}\n")


def write_c(file, random_numbers):
    for table in range(TABLES):
        numbers = ",".join(str(random_numbers.randrange(1000)) for _ in range(64))
        file.write(f"static int tab{table}[64] = {{{numbers}}};\n")
    for index in range(FUNCTIONS):
        file.write(c_function(random_numbers, index))


def write_sql(file, random_numbers, rows):
    file.write("pragma journal_mode=off; create table t(id integer primary key, name text, x real, note text);\nbegin;\n")
    for row in range(rows):
        name, x, note = random_numbers.randrange(10 ** 6), random_numbers.random(), "n" * random_numbers.randrange(60)
        file.write(f"insert into t values({row},'name-{name}',{x:.3f},'{note}');\n")
    file.write("commit;\ncreate index tn on t(name);\ncreate index tx on t(x, note);\n"
               "select count(*), sum(length(g)) from (select group_concat(id) g from t group by substr(name, 1, 8));\n")


def write(folder):
    with open(os.path.join(folder, "big.c"), "w") as file:
        write_c(file, random.Random(11))
    for name, rows in (("bulk.sql", ROWS), ("small.sql", ROWS // 10)):
        with open(os.path.join(folder, name), "w") as file:
            write_sql(file, random.Random(12), rows)


if __name__ == "__main__":
    write(sys.argv[1])
