// What the server says in English about why a window has its category, in Korean.

import { language } from "./texts.js";

/** [what it says, what that is in Korean]; $1, $2, … are what stands in the brackets. */
const KOREAN = [
  ["the name read in another way \\((.+)\\): (.+)", "이름을 달리 읽음($1): $2"],
  ["begins the name, and (.+) may be left off", "이름의 앞부분이고, $1은(는) 생략할 수 있음"],
  ["is the whole name", "이름 전체와 같음"],
  ["the words behind it say more: (.+)", "뒤에 오는 말이 더 많은 것을 뜻함: $1"],
  ["a local file that ends in \\.(.+)", "확장자가 .$1인 로컬 파일"],
  ["the word '(.+)' is in the host or path", "‘$1’라는 말이 호스트나 경로에 있음"],
  ["the app's name is an address at (.+)", "앱 이름이 $1의 주소임"],
  ["(\\S+) is the host, and (\\S+) is the path", "$1이(가) 호스트이고 $2이(가) 경로임"],
  ["(\\S+) is the host, and (\\S+) begins the path", "$1이(가) 호스트이고 경로가 $2(으)로 시작함"],
  ["(\\S+) is a parent of the host (\\S+), and (\\S+) is the path", "$1이(가) 호스트 $2의 상위이고 $3이(가) 경로임"],
  ["(\\S+) is a parent of the host (\\S+), and (\\S+) begins the path", "$1이(가) 호스트 $2의 상위이고 경로가 $3(으)로 시작함"],
  ["(\\S+) is the host", "$1이(가) 호스트임"],
  ["(\\S+) is a parent of the host (\\S+)", "$1이(가) 호스트 $2의 상위임"],
  ["name and country are those of (.+) in the table of known sites", "이름과 나라가 알려진 사이트 표의 $1과(와) 같음"],
  ["the host is, or is below, that of (.+) in the table of known sites", "호스트가 알려진 사이트 표의 $1이거나 그 하위임"],
  ["the title names (.+)", "제목에 $1이(가) 있음"],
  ["provisional: (.+)", "임시: $1"],
  ["a browser's name says nothing of what it shows", "브라우저 이름만으로는 무엇을 보여 주는지 알 수 없음"],
  ["this process shows the windows of other programs", "이 프로세스는 다른 프로그램의 창을 보여 줌"],
  ["the host below it may be anything, and no pattern names it", "하위 호스트는 무엇이든 될 수 있고, 가리키는 패턴이 없음"],
  ["on this site, the title decides", "이 사이트에서는 제목이 정함"],
  ["it would come first, but only provisionally", "먼저 오지만 임시로만 맞음"],
  ["it was added to the patterns later", "패턴에 나중에 더해짐"],
  ["as specific, but the priority (.+) comes before (.+)", "구체성은 같지만 우선순위 $1이(가) $2보다 앞섬"],
  ["as specific and of the same priority: the categories' alphabet decides", "구체성과 우선순위가 같아 카테고리 이름순으로 정함"],
  ["as specific, of the same category", "구체성이 같고 카테고리도 같음"],
  ["an app that is no browser comes before the URL", "브라우저가 아닌 앱이 URL보다 앞섬"],
  ["the URL comes before the title, and before a browser's name", "URL이 제목과 브라우저 이름보다 앞섬"],
  ["a known site comes before the title, and before a browser's name", "알려진 사이트가 제목과 브라우저 이름보다 앞섬"],
  ["what the title names comes before a browser's name", "제목이 가리키는 것이 브라우저 이름보다 앞섬"],
  ["a host comes before a word", "호스트가 낱말보다 앞섬"],
  ["the longer word comes first", "더 긴 낱말이 앞섬"],
  ["the longer host comes first", "더 긴 호스트가 앞섬"],
  ["the longer path comes first", "더 긴 경로가 앞섬"],
  ["the pattern with more words comes first", "낱말이 더 많은 패턴이 앞섬"],
  ["the title was not read: (.+)", "제목은 읽지 않음: $1"],
  ["the app, or the URL, decides without it", "앱이나 URL만으로 정해짐"],
  ["the app is not known as a browser", "이 앱은 브라우저로 알려져 있지 않음"],
  ["the URL names no host and no path", "URL에 호스트도 경로도 없음"],
  ["the name is longer than (.+) characters", "이름이 $1자보다 긺"],
  ["no letter or digit in the name", "이름에 글자나 숫자가 없음"],
].map(([english, korean]) => [new RegExp(`^${english}$`, "u"), korean]);

function clause(text) {
  const [english, korean] = KOREAN.find(([it]) => it.test(text)) ?? [];
  if (!english) return text;
  const found = text.match(english);
  return korean.replace(/\$(\d)/g, (_, number) => clause(found[number]));
}

/** A sentence of the server; its clauses are divided by semicolons. */
export const said = (text) => (language === "ko" ? text.split("; ").map(clause).join("; ") : text);
