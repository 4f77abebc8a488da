/* Calendar arithmetic (UTC only: the machine has no time zone data) and sleeping. */
#include "libc.h"

/* Days from 1970-01-01 to the civil date; years count from March so leap days come last. */
static long days_from_civil(long y, int m, int d) {
  y -= m <= 2;
  long era = (y >= 0 ? y : y - 399) / 400;
  long yoe = y - era * 400;
  long doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void gmtime_r(long t, struct tm *tm) {
  long days = t / 86400, rest = t % 86400;
  if (rest < 0) rest += 86400, days--;
  tm->hour = (int)(rest / 3600);
  tm->min = (int)(rest / 60 % 60);
  tm->sec = (int)(rest % 60);
  tm->wday = (int)(((days + 4) % 7 + 7) % 7);
  long z = days + 719468;
  long era = (z >= 0 ? z : z - 146096) / 146097;
  long doe = z - era * 146097;
  long yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  long doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  long mp = (5 * doy + 2) / 153;
  int month = (int)(mp + (mp < 10 ? 3 : -9));
  long year = yoe + era * 400 + (month <= 2);
  tm->mday = (int)(doy - (153 * mp + 2) / 5 + 1);
  tm->mon = month - 1;
  tm->year = (int)(year - 1900);
  tm->yday = (int)(days - days_from_civil(year, 1, 1));
}

long timegm(const struct tm *tm) {
  return days_from_civil(tm->year + 1900L, tm->mon + 1, tm->mday) * 86400 + tm->hour * 3600L + tm->min * 60L + tm->sec;
}

static const char *const day_names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const month_names[] = {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"};

/* ISO 8601 week number and its year. */
static int iso_week(const struct tm *tm, int *year) {
  int weekday = (tm->wday + 6) % 7;
  int week = (tm->yday - weekday + 10) / 7;
  *year = tm->year + 1900;
  int y = *year;
  if (week == 0) {
    *year = --y;
    int leap = (y % 4 == 0 && y % 100) || y % 400 == 0;
    week = (tm->yday + 365 + leap - weekday + 10) / 7;
  } else if (week == 53) {
    int leap = (y % 4 == 0 && y % 100) || y % 400 == 0;
    if (tm->yday - weekday + 3 >= 365 + leap) week = 1, ++*year;
  }
  return week;
}

static void add_time(Buf *out, const char *fmt, const struct tm *tm, long epoch, long nsec) {
  for (; *fmt; fmt++) {
    if (*fmt != '%' || !fmt[1]) {
      buf_char(out, *fmt);
      continue;
    }
    fmt++;
    char flag = 0;
    if (*fmt == '-' || *fmt == '_' || *fmt == '0' || *fmt == '^') flag = *fmt++;
    int width = 0;
    while (isdigit(*fmt)) width = width * 10 + (*fmt++ - '0');
    const char *two = flag == '-' ? "%d" : flag == '_' ? "%2d" : "%02d";
    int hour12 = tm->hour % 12 ? tm->hour % 12 : 12, iso_year;
    switch (*fmt) {
      case 'a': buf_add(out, day_names[tm->wday], 3); break;
      case 'A': buf_str(out, day_names[tm->wday]); break;
      case 'b': case 'h': buf_add(out, month_names[tm->mon], 3); break;
      case 'B': buf_str(out, month_names[tm->mon]); break;
      case 'c': add_time(out, "%a %b %e %H:%M:%S %Y", tm, epoch, nsec); break;
      case 'C': buf_printf(out, two, (tm->year + 1900) / 100); break;
      case 'd': buf_printf(out, two, tm->mday); break;
      case 'D': case 'x': add_time(out, "%m/%d/%y", tm, epoch, nsec); break;
      case 'e': buf_printf(out, flag == '-' ? "%d" : "%2d", tm->mday); break;
      case 'F': add_time(out, "%Y-%m-%d", tm, epoch, nsec); break;
      case 'G': iso_week(tm, &iso_year); buf_printf(out, "%d", iso_year); break;
      case 'H': buf_printf(out, two, tm->hour); break;
      case 'I': buf_printf(out, two, hour12); break;
      case 'j': buf_printf(out, flag == '-' ? "%d" : "%03d", tm->yday + 1); break;
      case 'k': buf_printf(out, "%2d", tm->hour); break;
      case 'l': buf_printf(out, "%2d", hour12); break;
      case 'm': buf_printf(out, two, tm->mon + 1); break;
      case 'M': buf_printf(out, two, tm->min); break;
      case 'n': buf_char(out, '\n'); break;
      case 'N': {
        char digits[16];
        snprintf(digits, sizeof digits, "%09ld", nsec);
        buf_add(out, digits, width > 0 && width < 9 ? (size_t)width : 9);
        break;
      }
      case 'p': buf_str(out, tm->hour < 12 ? "AM" : "PM"); break;
      case 'P': buf_str(out, tm->hour < 12 ? "am" : "pm"); break;
      case 'r': add_time(out, "%I:%M:%S %p", tm, epoch, nsec); break;
      case 'R': add_time(out, "%H:%M", tm, epoch, nsec); break;
      case 's': buf_printf(out, "%ld", epoch); break;
      case 'S': buf_printf(out, two, tm->sec); break;
      case 't': buf_char(out, '\t'); break;
      case 'T': case 'X': add_time(out, "%H:%M:%S", tm, epoch, nsec); break;
      case 'u': buf_printf(out, "%d", tm->wday ? tm->wday : 7); break;
      case 'U': buf_printf(out, two, (tm->yday + 7 - tm->wday) / 7); break;
      case 'V': buf_printf(out, two, iso_week(tm, &iso_year)); break;
      case 'w': buf_printf(out, "%d", tm->wday); break;
      case 'W': buf_printf(out, two, (tm->yday + 7 - (tm->wday + 6) % 7) / 7); break;
      case 'y': buf_printf(out, two, tm->year % 100); break;
      case 'Y': buf_printf(out, "%d", tm->year + 1900); break;
      case 'z': buf_str(out, "+0000"); break;
      case 'Z': buf_str(out, "UTC"); break;
      case '%': buf_char(out, '%'); break;
      default: buf_char(out, '%'); buf_char(out, *fmt); break;
    }
  }
}

size_t strftime(char *to, size_t size, const char *fmt, const struct tm *tm, long epoch, long nsec) {
  Buf out = {0};
  add_time(&out, fmt, tm, epoch, nsec);
  size_t n = strlcpy(to, out.data ? out.data : "", size);
  buf_free(&out);
  return n;
}

void msleep(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  sys_nanosleep(&t, NULL);
}
