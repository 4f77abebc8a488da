/* echo, printf, yes, seq: output of arguments. */
#include "../box.h"

/* Appends the character of a backslash escape; p is behind the backslash. With `octal0`, \0nnn
 * is an octal escape (echo -e, %b), otherwise \nnn. Returns NULL for \c: stop all output. */
static const char *escape(const char *p, bool octal0, Buf *out) {
  static const char from[] = "abefnrtv\\\"'", to[] = "\a\b\033\f\n\r\t\v\\\"'";
  const char *hit = *p ? strchr(from, *p) : NULL;
  if (*p == 'c') return NULL;
  if (hit && !(octal0 && (*p == '"' || *p == '\''))) {
    buf_char(out, to[hit - from]);
    return p + 1;
  }
  if (*p == 'x' && isxdigit((unsigned char)p[1])) {
    int v = 0, n = 0;
    for (p++; n < 2 && isxdigit((unsigned char)*p); n++, p++) v = v * 16 + (isdigit((unsigned char)*p) ? *p - '0' : tolower(*p) - 'a' + 10);
    buf_char(out, v);
    return p;
  }
  if (*p >= '0' && *p <= '7' && (!octal0 || *p == '0')) {
    int v = 0, max = octal0 ? 4 : 3;
    for (int n = 0; n < max && *p >= '0' && *p <= '7'; n++, p++) v = v * 8 + *p - '0';
    buf_char(out, v);
    return p;
  }
  buf_char(out, '\\');
  return p;
}

int echo_main(int argc, char **argv) {
  bool newline = true, escapes = false;
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1] && !argv[i][1 + strspn(argv[i] + 1, "neE")]; i++)
    for (char *c = argv[i] + 1; *c; c++) {
      if (*c == 'n') newline = false;
      else escapes = *c == 'e';
    }
  Buf out = {0};
  for (int first = i; i < argc; i++) {
    if (i > first) buf_char(&out, ' ');
    for (const char *p = argv[i]; *p;) {
      if (*p != '\\' || !escapes) {
        buf_char(&out, *p++);
      } else if (!(p = escape(p + 1, true, &out))) {
        newline = false;
        i = argc;
        break;
      }
    }
  }
  if (newline) buf_char(&out, '\n');
  if (out.len) fwrite(out.data, out.len, stdout);
  buf_free(&out);
  return 0;
}

static int printf_status;

static long integer_argument(const char *s) {
  if (*s == '\'' || *s == '"') return (unsigned char)s[1];
  char *end;
  long v = strtol(s, &end, 0);
  if (*s && (*end || end == s)) {
    warn("'%s': expected a numeric value", s);
    printf_status = 1;
  }
  return v;
}

/* Formats one conversion; f is at the % and the end of the conversion is returned. */
static const char *convert(const char *f, char ***args, bool *stop) {
  char spec[64] = "%";
  size_t n = 1;
  f++;
  if (*f == '%') {
    putchar('%');
    return f + 1;
  }
  while (*f && strchr("-+ 0#", *f) && n < 20) spec[n++] = *f++;
  for (int part = 0; part < 2; part++) {
    if (part && *f != '.') break;
    if (part) spec[n++] = *f++;
    if (*f == '*') {
      n += (size_t)snprintf(spec + n, 16, "%d", (int)(**args ? integer_argument(*(*args)++) : 0));
      f++;
    } else {
      while (isdigit((unsigned char)*f) && n < 40) spec[n++] = *f++;
    }
  }
  while (*f == 'l' || *f == 'h') f++;
  char c = *f ? *f++ : 0;
  const char *arg = **args && c ? *(*args)++ : NULL;
  if (strchr("diouxX", c) && c) {
    spec[n++] = 'l';
    spec[n++] = c;
    spec[n] = 0;
    long v = arg ? integer_argument(arg) : 0;
    Buf b = {0};
    buf_printf(&b, spec, v);
    fputs(b.data, stdout);
    buf_free(&b);
  } else if (c == 's' || c == 'c' || c == 'b') {
    char one[2] = {arg ? *arg : 0, 0};
    Buf text = {0}, b = {0};
    if (c == 'b')
      for (const char *p = arg ? arg : ""; *p;) {
        if (*p != '\\') buf_char(&text, *p++);
        else if (!(p = escape(p + 1, true, &text))) {
          *stop = true;
          break;
        }
      }
    spec[n++] = 's';
    spec[n] = 0;
    buf_printf(&b, spec, c == 'c' ? one : c == 'b' ? (text.data ? text.data : "") : arg ? arg : "");
    if (b.len) fwrite(b.data, b.len, stdout);
    buf_free(&text);
    buf_free(&b);
  } else if (c && strchr("feEgGF", c)) {
    spec[n++] = c;
    spec[n] = 0;
    char *end = NULL;
    double v = arg ? strtod(arg, &end) : 0;
    if (arg && *arg && *end) {
      warn("'%s': expected a numeric value", arg);
      printf_status = 1;
    }
    Buf b = {0};
    buf_printf(&b, spec, v);
    fputs(b.data, stdout);
    buf_free(&b);
  } else {
    warn("%%%c: invalid directive", c);
    printf_status = 1;
    *stop = true;
  }
  return f;
}

int printf_main(int argc, char **argv) {
  int i = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;
  if (i >= argc) return usage_error();
  const char *format = argv[i];
  char **args = argv + i + 1;
  printf_status = 0;
  bool stop = false;
  do {
    char **before = args;
    for (const char *f = format; *f && !stop;) {
      if (*f == '%') {
        f = convert(f, &args, &stop);
      } else if (*f == '\\') {
        Buf b = {0};
        f = escape(f + 1, false, &b);
        if (b.len) fwrite(b.data, b.len, stdout);
        buf_free(&b);
        if (!f) return printf_status;
      } else {
        putchar(*f++);
      }
    }
    if (args == before) break;
  } while (*args && !stop);
  return printf_status;
}

int yes_main(int argc, char **argv) {
  Buf line = {0};
  for (int i = 1; i < argc; i++) buf_printf(&line, "%s%s", i > 1 ? " " : "", argv[i]);
  if (argc < 2) buf_char(&line, 'y');
  buf_char(&line, '\n');
  for (;;) {
    fwrite(line.data, line.len, stdout);
    if (stdout->error) return 1;
  }
}

static int decimals(const char *s) {
  const char *dot = strchr(s, '.');
  return dot ? (int)strspn(dot + 1, "0123456789") : 0;
}

int seq_main(int argc, char **argv) {
  const char *separator = "\n", *format = NULL;
  bool equal_width = false;
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1] && !isdigit((unsigned char)argv[i][1]) && argv[i][1] != '.'; i++) {
    if (argv[i][1] == 'w') equal_width = true;
    else if (argv[i][1] == 's') separator = argv[i][2] ? argv[i] + 2 : argv[++i];
    else if (argv[i][1] == 'f') format = argv[i][2] ? argv[i] + 2 : argv[++i];
    else return usage_error();
    if (i >= argc) return usage_error();
  }
  int n = argc - i;
  if (n < 1 || n > 3) return usage_error();
  const char *first_text = n > 1 ? argv[i] : "1", *step_text = n > 2 ? argv[i + 1] : "1", *last_text = argv[argc - 1];
  double v[3];
  const char *texts[3] = {first_text, step_text, last_text};
  for (int k = 0; k < 3; k++) {
    char *end;
    v[k] = strtod(texts[k], &end);
    if (*end || end == texts[k]) die("invalid floating point argument: '%s'", texts[k]);
  }
  if (v[1] == 0) die("invalid Zero increment value: '%s'", step_text);
  int precision = decimals(first_text) > decimals(step_text) ? decimals(first_text) : decimals(step_text), width = 0;
  if (equal_width)
    for (int k = 0; k < 3; k += 2) {
      char text[64];
      int w = snprintf(text, sizeof text, "%.*f", precision, v[k]);
      if (w > width) width = w;
    }
  bool any = false;
  if (!format && !precision && v[0] > -1e15 && v[0] < 1e15 && v[2] > -1e15 && v[2] < 1e15 && v[1] > -1e15 && v[1] < 1e15) {
    for (long x = (long)v[0], step = (long)v[1]; step > 0 ? (double)x <= v[2] : (double)x >= v[2]; x += step) {
      printf("%s%0*ld", any ? separator : "", width, x);
      any = true;
    }
  } else {
    for (long k = 0;; k++) {
      double x = v[0] + (double)k * v[1], slack = v[1] * 1e-10;
      if (v[1] > 0 ? x > v[2] + slack : x < v[2] + slack) break;
      Buf b = {0};
      if (format) buf_printf(&b, format, x);
      else buf_printf(&b, "%0*.*f", width, precision, x);
      printf("%s%s", any ? separator : "", b.data);
      buf_free(&b);
      any = true;
    }
  }
  if (any) putchar('\n');
  return 0;
}
