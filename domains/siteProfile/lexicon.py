"""Words by which sites say what they are for, in Korean and English, and how much they say.

`sure` words name what only sites of that category offer; one of them nearly suffices. `likely` words are usual there
and possible elsewhere; several different ones are needed. `NEUTRAL` are phrases in which a word means something else.
English words are found as whole words, also in the plural; Korean ones at any place, since particles and other nouns
are joined to them. Where two overlap, the one that begins first counts, and of those the longest.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

import ahocorasick

from domains.siteProfile.model import EvidenceKind, PageFacts, SiteEvidence

_SURE, _LIKELY = 2.0, 0.5
_TITLE_COUNTS = 1.35
"""A word in the title says more than one in the description."""
_A_WORD = 0.58
"""The doubt that one unit of words leaves; each further one leaves this share of it."""
_MOST = 0.93
_SHOWN = 8

_SPACE = "  "  # two, so that the words on both sides of it can have one
_BREAKS = re.compile(r"[^\w+#.&'-]+|(?<!\w)[.&'-]+|[.&'-]+(?!\w)")
_ENGLISH = re.compile(r"[a-z]")


def _words(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.replace("\n", ",").split(",") if phrase.strip())


LEXICON: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Development": (
        _words("""
        developer tool, developer platform, software development, source code, open source, code hosting
        code review, version control, git repository, git hosting, pull request, continuous integration, ci/cd
        devops, kubernetes, docker, container registry, programming language, web framework, javascript library
        typescript, npm package, python package, package manager, compiler, debugger, debugging, code editor
        serverless, rest api, graphql, sdk, command line tool, error tracking, log management
        application monitoring, cloud hosting, cloud infrastructure, database hosting, backend as a service
        web hosting for developers, api gateway, api testing, static site generator, for developers, low-code
        stack trace, code snippet, 풀 리퀘스트, 개발자 도구, 개발자를 위한, 개발자 플랫폼, 소프트웨어 개발
        오픈 소스, 소스 코드, 코드 리뷰, 버전 관리, 프로그래밍 언어, 프레임워크, 라이브러리 배포, 컨테이너
        쿠버네티스, 도커, 배포 자동화, 지속적 통합, 데브옵스, 서버리스, 클라우드 인프라, 클라우드 서버
        서버 호스팅, 디버깅, 디버거, 컴파일러, 코드 에디터, 깃허브, 개발 블로그, 기술 블로그, 오류 추적, 로그 수집
        백엔드 개발, 프론트엔드 개발, 프론트엔드, 백엔드, 개발자 커뮤니티, developer community, build software
        software developer, web developer, api platform, vps, dedicated server, cloud server, open api, 오픈 api
        개발자 센터, 웹 개발, 앱 개발, 리눅스, linux, python, javascript, java, rust, golang, postgres, mysql
        redis, webassembly, unit test, ide, web hosting, domain registration, 웹호스팅, 도메인 등록, bundler, npm
        pip install, scripting language, sdk for, ci server, pipelines as code, infrastructure as code, terraform
        microservices, message queue, load balancer, observability, logging, crash reporting, app development
        ios development, android development, react, vue, svelte, node.js, django, spring boot, .net, php, laravel
        devtools, web components, headless cms, debugger for, code formatter, linter, regex, json formatter
        git client, shell, command line, kernel, embedded systems, firmware development, hackathon, 빌드 도구
        ci 서비스, 코드 저장소, 개발 환경, 개발 도구, 테스트 코드, 애플리케이션 개발, 스프링부트, 리액트, 파이썬
        자바스크립트, 자바, 해커톤, 코드 품질, 모니터링 도구, 인프라 관리, 서버 모니터링, api 문서 자동화
        개발 문화, 알고리즘 문제
        """),
        _words("""
        developer, code, coding, programming, programmer, api, deploy, deployment, repository, backend, frontend
        runtime, database, server, github, gitlab, build, testing, engineer, webhook, terminal, hosting, library
        개발자, 개발, 코딩, 프로그래밍, 프로그래머, 배포, 저장소, 서버, 데이터베이스, 테스트 자동화, 호스팅
        라이브러리, 커밋, script, stack, commit, release, package, module, framework, web app, plugin, integration
        빌드, 패키지, 모듈, 인프라, 오픈소스 프로젝트, 알고리즘
        """),
    ),
    "LLM": (
        _words("""
        large language model, language model, llm, chatgpt, gpt, ai chatbot, ai chat, ai assistant, generative ai
        prompt engineering, ai agent, chat with ai, ai writing assistant, ask ai, conversational ai, ai companion
        chat with your documents, ai answers, ai search engine, text generation, foundation model, 거대 언어 모델
        대규모 언어 모델, 언어 모델, 생성형 ai, 생성형 인공지능, 인공지능 챗봇, ai 챗봇, 챗봇, ai 비서
        인공지능 비서, 프롬프트, ai 채팅, ai와 대화, 인공지능과 대화, ai 글쓰기, ai 에이전트, answer engine
        ai-powered answer, ai model, ai search, open-weight, chat ai, ai 모델, ai 검색, ai 포털, 인공지능 모델
        gpt-4, gpt-5, claude, 파인튜닝, 캐릭터 챗, ai 친구, rag, ai writer, ai writing, ai tutor chat
        ai characters, talk to ai, ai powered assistant, ai copilot, text-to-text, embeddings
        vector search for ai, ai playground, chat with characters, ai summarizer, summarize documents with ai
        ai 글쓰기 도우미, ai 요약, 대화형 ai, 대화형 인공지능, 초거대 ai, ai 어시스턴트, ai 작가, ai 캐릭터
        ai 모델 api
        """),
        _words("""
        ai, artificial intelligence, prompt, chatbot, assistant, inference, ai-powered, copilot, fine-tuning
        인공지능, 에이전트, 자연어, 추론, generate, summarize, 대화, 요약, 생성
        """),
    ),
    "Documentation": (
        _words("""
        documentation, api reference, reference manual, user manual, user guide, knowledge base, wiki
        technical writing, developer docs, docs site, specification, style guide for writers, e-book publishing
        document editor, word processor, presentation maker, slide deck, pdf editor, edit pdf, note on standards
        man page, changelog, getting started guide, how-to guides, reference documentation, citation generator
        문서화, 기술 문서, 레퍼런스 문서, api 문서, 사용자 설명서, 사용 설명서, 매뉴얼, 지식 베이스, 위키
        개발 문서, 공식 문서, 문서 편집기, 문서 작성, 문서 서식, 발표 자료, 프레젠테이션, pdf 편집, 명세서
        한글 문서, 용어집, web docs, docs for, technical documentation, developer guide, online documentation, rfc
        cheat sheet, 튜토리얼, 백서, 규격서, 회사 위키, 서식 모음, 계약서 양식, 문서 양식, docs as code
        product manual, instruction manual, owner's manual, release notes, style guide, white paper
        standards document, api documentation, sdk documentation, complete reference, language reference
        help center, help centre, slides, presentation software, online word processor, pdf reader, ebook editor
        mind your docs, encyclopedia wiki, 제품 설명서, 온라인 문서, 도움말 센터, 도움말, 기술 백서, 릴리스 노트
        슬라이드 제작, 전자책 제작, 문서 협업, 문서 뷰어, 위키 백과, 개발 가이드, 사용자 가이드
        """),
        _words("""
        docs, manual, reference, guide, handbook, tutorial, article, glossary, faq, markdown, template, editor
        문서, 설명서, 가이드, 안내서, 핸드북, 참고 자료, 서식, 템플릿, instructions, howto, document, paper
        appendix, chapter, slide, pdf, 예제, 목차, 설명, 발표, 보고서, 양식
        """),
    ),
    "Design": (
        _words("""
        graphic design, ui design, ux design, design tool, web design, logo design, logo maker, interior design
        icon set, free icons, stock photo, illustration, illustrator, vector graphics, typeface, font foundry
        free fonts, mockup, wireframe, prototyping, design system, color palette, colour palette, photo editor
        3d modeling, 3d rendering, design inspiration, design portfolio, cad software, mood board, typography
        그래픽 디자인, 웹 디자인, 로고 디자인, 로고 제작, ui 디자인, ux 디자인, 디자인 툴, 디자인 도구
        디자인 시안, 디자인 시스템, 디자이너, 일러스트, 아이콘, 폰트, 글꼴, 서체, 목업, 와이어프레임, 프로토타입
        색상 팔레트, 사진 편집, 타이포그래피, 3d 모델링, 인테리어 디자인, 벡터, 포토샵, 무료 이미지, 포스터 디자인
        free images, free photos, free vectors, free illustrations, designers & creatives, creatives, svg
        brand identity, packaging design, ui kit, design template, sketching, digital art, 무료 사진
        무료 일러스트, 브랜딩 디자인, 패키지 디자인, 디자인 템플릿, 픽토그램, 캘리그라피, 캘리그래피, 배색, 도면
        color scheme, colour scheme, color picker, business card design, banner design, printable, print design
        wallpaper design, tattoo design, architecture studio, furniture design, fashion design, industrial design
        3d models, blender, after dark ui, ui components, landing page design, portfolio of a designer
        design agency, design studio, stock illustrations, clip art, texture pack, fontfamily, lettering
        handwriting fonts, app icons, image editor, photo editing, background remover, 명함 디자인, 현수막, 전단지
        배너 디자인, 디자인 스튜디오, 디자인 에이전시, 인쇄 디자인, 손글씨 폰트, 3d 모델, 이미지 편집, 배경 제거
        사진 보정, 색상표, 건축 설계, 인테리어 시공, 포트폴리오 사이트, 제품 디자인
        """),
        _words("""
        design, designer, creative, icon, font, vector, palette, drawing, artwork, sketch, layout, poster, texture
        photo, 디자인, 창작, 시안, 그림, 드로잉, 색상, 작품, 소스 이미지, logo, colors, colours
        illustration style, brandbook, canvas, shape, graphic, studio, visual, aesthetic, 로고, 포스터, 명함, 배너
        그래픽, 이미지, 컬러, 편집 디자인
        """),
    ),
    "Video Editing": (
        _words("""
        video editor, video editing, edit video, edit your video, motion graphics, visual effects, vfx
        color grading, screen recorder, subtitle editor, subtitles, video maker, video production, footage
        stock footage, podcast editing, audio editor, audio editing, music production, royalty-free music
        sound effects, sample pack, screen recording, video effects, video converter, video compressor
        text to speech, voice over, live streaming software, beat maker, 영상 편집, 동영상 편집, 비디오 편집
        편집 프로그램, 컷 편집, 자막 편집, 자막 제작, 자막, 모션 그래픽, 영상 제작, 색보정, 화면 녹화, 음원 편집
        오디오 편집, 효과음, 무료 배경음악, 배경 음악, 영상 소스, 촬영본, 더빙, 팟캐스트 편집, 작곡 프로그램
        썸네일, editing and podcast, audio post, green screen, film looks, color grade, lut, video template
        audio mixing, mastering, daw, 영상 템플릿, 비디오 에디터, 동영상 제작, 오디오 편집기, 믹싱, 마스터링
        전환 효과, 인트로 영상, 유튜브 편집, music producers, samples and loops, synth plugin, vst, audio plugin
        mixing console, film making, video creators, short videos, video ads maker, captions, auto captions
        transcribe video, dubbing, teleprompter, drone footage, video stabilizer, trim video, cut video
        merge videos, vlog, 쇼츠, 릴스, 짧은 영상, 브이로그, 영상 자막, 자막 생성, 자동 자막, 음성 합성, 성우
        영상 보정, 드론 영상, 유튜브 영상, 비디오 제작, 음악 제작, 작곡, 편곡, 녹음실, 오디오 인터페이스
        """),
        _words("""
        video, clip, timeline, render, transition, audio, sound, recording, creator, mp4, 4k, youtuber, 영상
        동영상, 클립, 녹화, 음향, 크리에이터, 유튜버, 촬영, 오디오, editing, filmmaker, sample, loop, producer
        microphone, camera, lens, playback, 편집, 자막 파일, 녹음, 음원, 카메라, 마이크
        """),
    ),
    "Education": (
        _words("""
        online course, e-learning, university, college, high school, elementary school, learn english
        language learning, tutoring, tutor, curriculum, lecture, exam preparation, test prep, mock exam, flashcard
        homework help, academy, bootcamp, scholarship, academic journal, research papers, thesis, math problems
        learning platform, for teachers, classroom, certification exam, kindergarten, admissions, 온라인 강의
        인터넷 강의, 인강, 강의, 대학교, 대학원, 고등학교, 중학교, 초등학교, 유치원, 학원, 수능, 입시, 자격증
        시험 대비, 기출문제, 모의고사, 영어 회화, 어학, 토익, 과외, 학습지, 커리큘럼, 수강생, 수강, 학술지, 논문
        장학금, 교육원, 평생교육, 교육청, 학교, 선생님, 문제집, 부트캠프, learn online, learn a language
        learn languages, learn to code, learn for free, e-learning platform, study guide, spelling, math, algebra
        physics, chemistry, professor, alumni, undergraduate, graduate program, campus, phonics, homeschool
        학사 일정, 입학, 한국어 교육, 학습 플랫폼, 배울 수 있는, 강좌, 온라인 클래스, 클래스, 수학, 독학
        시험 문제, 학부모, 내신, 캠퍼스, public school, private school, grammar school, nursery, preschool
        library for students, phd, master's degree, bachelor, mba, scholar, textbook, worksheets, lesson plans
        study abroad, ielts, toefl, toeic, topik, sat prep, gcse, coding for kids, driving school, music lessons
        korean lessons, english lessons, spanish lessons, learn korean, learn spanish, learn japanese
        learn chinese, vocabulary, grammar, science for kids, mooc, courseware, certificate program
        professional development for teachers, 한국어 강좌, 무료 강좌, 강좌 신청, 어린이집, 유학, 어학원, 한자
        단어장, 영어 단어, 문법, 교과서, 수행평가, 방과후, 코딩 교육, 직업 훈련, 국비 교육, 자기주도학습, 학습 앱
        수험생, 공무원 시험, 임용, 운전면허, 교수, 학과, 학술대회, 연구소, 영재, 과학관
        """),
        _words("""
        learn, learning, education, educational, school, course, lesson, student, teacher, study, training, quiz
        exam, class, workshop, degree, skills, 교육, 학습, 공부, 배우, 수업, 학생, 시험, 과정, 스터디, 강사, 교재
        교실, learners, teaching, teach, faculty, semester, grade, instructor, knowledge, science, practice
        beginner, academic, 강사진, 선생, 입문, 기초, 이론, 연구, 지식, 배워
        """),
    ),
    "Productivity": (
        _words("""
        project management, task management, to-do list, todo list, team collaboration, kanban, note taking
        calendar app, time tracking, workflow automation, crm, online form, form builder, spreadsheet, groupware
        shared inbox, webmail, business email, e-signature, electronic signature, recruiting, job search
        job board, find jobs, job openings, payroll, hr software, appointment scheduling, habit tracker, pomodoro
        email client, daily planner, mind map, office suite, translate text, 프로젝트 관리, 업무 관리, 할 일
        할일 관리, 협업 툴, 협업 도구, 협업, 칸반, 메모 앱, 일정 관리, 시간 관리, 근태 관리, 전자 결재, 그룹웨어
        업무 자동화, 전자 서명, 전자계약, 채용 공고, 채용 정보, 구인구직, 일자리, 이력서, 설문 조사, 습관 관리
        뽀모도로, 웹메일, 급여 관리, 인사 관리, 마인드맵, 알바, all-in-one workspace, team workspace
        work management, task manager, job listing, remote jobs, careers site, meeting scheduler, booking calendar
        email app, team chat, time management, timesheet, invoice approval, 취업, 취업 정보, 구직, 연봉 정보
        업무용, 업무용 메신저, 할일 목록, 스케줄 관리, 노트 앱, 화이트보드, 설문, 예약 관리, 급여, 워크플로
        shift workers, shift scheduling, employee scheduling, hr platform, hr management, onboarding employees
        okr, gantt, meeting room scheduling app, document signing, contract management, helpdesk
        customer support software, ticketing system, erp, online survey, polls and surveys, whiteboard
        calendar sharing, appointment booking, freelance jobs, temp jobs, cv builder, resume builder, cover letter
        daily journal, notes app, bookmark manager, focus timer, time blocking, email management
        spreadsheet software, translation tool, translator, team calendar, goal tracking, 일정 공유, 일정 앱
        근무표, 근무 일정, 급여 계산, 인사 노무, 업무 일지, 업무 보고, 목표 관리, 집중 타이머, 노트 필기
        생각 정리, 문서 번역, 번역기, 번역, 고객 상담 솔루션, 예약 솔루션, 프리랜서 매칭, 이직, 채용 플랫폼
        자기소개서, 면접, 설문지, 명함 관리, 회사 메일
        """),
        _words("""
        productivity, task, project, team, workflow, schedule, calendar, note, workspace, collaborate
        collaboration, organize, planner, reminder, checklist, meeting notes, automation, career, job, hiring
        resume, 생산성, 업무, 프로젝트, 일정, 캘린더, 메모, 체크리스트, 팀원, 워크스페이스, 자동화, 채용, 커리어
        알림, employees, payroll calendar, deadline, boards, priorities, agenda, shared, office, staff, assign
        client, 직원, 근무, 마감, 목표, 정리, 회사, 사무실, 고객 관리, 메일
        """),
    ),
    "Finance": (
        _words("""
        online banking, internet banking, bank account, credit card, credit union, mortgage, loan, stock market
        stock trading, investing, investment, brokerage, cryptocurrency, crypto exchange, bitcoin, ethereum
        insurance, accounting software, bookkeeping, invoicing, tax return, tax filing, personal finance
        wealth management, mutual fund, etf, exchange rate, money transfer, payment gateway, pension
        savings account, dividend, forex, household budget, 인터넷 뱅킹, 은행, 저축은행, 신용카드, 체크카드, 대출
        예금, 적금, 증권, 주식 투자, 주식, 펀드, 투자, 자산 관리, 가상자산, 암호화폐, 비트코인, 코인 거래소, 보험
        연금, 세금 신고, 세무, 회계, 환율, 송금, 간편결제, 결제 대행, 가계부, 배당, 금융, 금리, 연말정산, 부가세
        디지털 자산, 자산 거래소, 보험료, 디지털 금융, 뱅킹, 캐피탈, 신용 대출, 주택담보대출, 청약 통장, 공모주
        로보어드바이저, 세금, 연금 저축, 재무제표, 해외송금, 결제 서비스, trading app, stocks, retirement planning
        cash back, digital bank, budgeting, payments platform, asset management, financial planning
        insurance quote, cfd, wealth, tax advice, debit card, remittance, accept payments, payment processing
        payouts, point of sale, checkout api for payments, invoices, expense management, expense tracker, receipts
        vat, audit firm, accountant, chartered accountants, credit score, credit report, home loan, car loan
        student loan, refinancing, current account, checking account, interest rates, bonds, commodities
        gold price, hedge fund, private equity, venture capital, angel investors, robo-advisor, nft, defi
        blockchain, staking, token exchange, crypto wallet, life insurance, car insurance, health insurance
        travel insurance, annuity, tax calculator, budget planner, 목돈, 이자, 금리 비교, 대출 비교, 예적금
        예금 금리, 보험 비교, 보험 상담, 자동차 보험, 실손보험, 카드 추천, 신용 점수, 재무 설계, 부동산 투자, 경매
        배당주, 코스피, 나스닥, 환전, 외환, 블록체인, 코인 시세, 코인, 결제 솔루션, 결제 시스템, 전자 세금계산서
        세금계산서, 경비 처리, 회계사, 세무사, 벤처 투자, 크라우드펀딩
        """),
        _words("""
        bank, banking, finance, financial, fund, trading, money, payment, tax, credit, savings, portfolio, budget
        wallet, interest rate, accounting, invoice, 결제, 통장, 계좌, 재테크, 자산, 수익률, 시세, 카드, 경제
        청구서, investor, market data, account, balance, rates, wealthy, asset, loan calculator, bonds market
        이율, 납부, 매매, 금 시세, 보장, 상환, 지갑, 청구
        """),
    ),
    "File Management": (
        _words("""
        file sharing, cloud storage, file transfer, file hosting, file manager, online storage, backup
        file backup, send large files, share files, file converter, convert files, compress files, unzip
        zip files, archive extractor, torrent, ftp client, sync files, file sync, file upload, webhard
        download files, photo backup, file recovery, 파일 공유, 파일 전송, 클라우드 저장소, 클라우드 스토리지
        파일 관리, 웹하드, 자료실, 파일 변환, 압축 프로그램, 압축 해제, 파일 백업, 백업, 대용량 파일, 파일 업로드
        토렌트, 파일 복구, 데이터 복구, 파일 동기화, 사진 백업, 자료 공유, files in the cloud, back up your files
        send your files, send files, receive files, transfer files, pdf to word, convert pdf, disk image, usenet
        magnet link, nas storage, 파일 보내기, 파일 저장, 자료 다운로드, 용량 큰 파일, 클라우드 백업, 사진 저장
        파일 압축, 확장자 변환, 이미지 변환, pdf 변환, extract rar, rar, 7z, unrar, archive files
        compress and extract, cloud drive, personal cloud, photo storage, online drive, file server, ftp, sftp
        webdav, large file, big files, file link, share a file, temporary file, disk usage, duplicate files
        rename files, data recovery, usb recovery, document scanner storage, file explorer, 클라우드 드라이브
        자동 백업, 사진을 자동으로 저장, 사진 정리, 데이터 백업, 파일 링크, 파일 정리, 중복 파일, 파일 탐색기
        외장 하드, 나스, 자료 보관, 압축 파일, 용량 무제한, 파일을 보내, 파일을 공유
        """),
        _words("""
        file, folder, storage, upload, download, sync, archive, zip, gigabyte, terabyte, drive, 파일, 폴더
        저장 공간, 업로드, 다운로드, 동기화, 압축, 용량, 드라이브, backup plan, cloud, extract, attachment, disk
        gb, 클라우드, 저장, 보관, 첨부, 백업 서비스, 하드
        """),
    ),
    "Browsing": (
        _words("""
        breaking news, latest news, news, newspaper, journalism, weather forecast, weather, search engine
        web portal, government, ministry of, city hall, public service, official website of the city, map service
        driving directions, encyclopedia, dictionary, recipe, horoscope, health information, hospital, clinic
        symptom, medical, embassy, web directory, bus timetable, train timetable, subway map, 속보, 뉴스, 신문
        언론사, 일보, 기사, 날씨, 일기예보, 기상, 검색 엔진, 포털, 정부, 시청 홈페이지, 구청, 군청, 도청, 행정
        민원, 공공기관, 부처, 지도, 길찾기, 백과사전, 사전, 레시피, 요리법, 운세, 병원, 의원, 진료, 건강 정보
        증상, 대사관, 버스 시간표, 지하철 노선도, 교회, 복지관, world news, local news, news agency
        trusted reporting, public library, museum, tourism board, visitor guide, city council, county
        municipality, parliament, police, court, health advice, doctors, pharmacy, nutrition, wellness, astrology
        cooking, climate, charity, church, 뉴스통신사, 통신사 뉴스, 보도 자료, 칼럼, 민원서비스, 정책 정보
        주민센터, 국회, 법원, 경찰서, 소방서, 보건소, 박물관, 도서관, 관광 안내, 한의원, 치과, 약국, 요리, 집밥
        미세먼지, 단기예보, 날씨누리, 길 안내, 시정 소식, obituaries, classifieds, gazette, tribune, herald
        daily news, online newspaper, magazine, current affairs, fact check, editorials, weather radar, storm
        earthquake, pollen, air quality, search the web, start page, province, state government, federal
        embassy of, immigration office, department of health, public transport, bus routes, timetables
        road conditions, phone directory, yellow pages, baking, meal plan, diet, pregnancy, parenting advice
        disease, mental health, hospital appointments, dentist, veterinary, genealogy, non-profit, foundation
        군정, 시정, 도정, 전자민원, 정보공개, 군의회, 시의회, 면사무소, 읍사무소, 교통 정보, 버스 노선, 고속도로
        철도, 지하철, 항만, 공항, 세관, 우체국, 한국관광, 축제, 문화재, 국립공원, 동물병원, 종합병원, 피부과
        성형외과, 정신건강, 임신 출산, 영양, 다이어트, 반찬 만들기, 베이킹, 타로, 사주, 꿈해몽, 성당, 사찰, 재단
        협회, 학회 소식, 매거진, 잡지, 시사, 논설, 특보, 지진, 태풍
        """),
        _words("""
        politics, world, local, report, opinion, editorial, headline, forecast, citizen, public, map, search
        health, community news, directory, 정치, 사회, 국제, 보도, 사설, 시민, 지역, 건강, 검색, 의료, 안내
        region, city, county news, residents, services, official, notice, article archive, ministry, agency
        travel advisory, events, history, culture, 공지, 소식, 주민, 문화, 역사, 위원회, 센터, 복지, 전국
        """),
    ),
    "Marketing": (
        _words("""
        email marketing, digital marketing, seo, search engine optimization, advertising platform, ad network
        advertising agency, affiliate marketing, marketing automation, content marketing, social media marketing
        influencer marketing, landing page, keyword research, conversion rate, a/b testing, web analytics
        newsletter tool, lead generation, ad campaign, marketing agency, brand strategy, growth marketing
        backlink, customer segmentation, push notification marketing, marketers, 이메일 마케팅, 디지털 마케팅
        온라인 마케팅, 마케팅 대행, 마케팅 자동화, 콘텐츠 마케팅, 퍼포먼스 마케팅, 바이럴 마케팅, 인플루언서
        마케팅, 마케터, 광고 대행사, 광고 플랫폼, 광고주, 키워드 광고, 검색 광고, 배너 광고, 제휴 마케팅, 체험단
        검색엔진 최적화, 랜딩 페이지, 전환율, 뉴스레터 발송, 방문자 분석, 광고 성과, 캠페인, email campaigns
        email platform, marketing platform, marketing & sales, ads manager, ad server, programmatic, utm
        backlink checker, customer engagement, public relations, pr agency, crm marketing, affiliate network
        influencer, copywriting, google ads, 마케팅 플랫폼, 마케팅 솔루션, 브랜드 마케팅, 인플루언서 마케팅
        광고 대행, 광고 관리, 홍보 대행, 리타겟팅, 콘텐츠 제작 대행, 블로그 마케팅, 키워드 분석, 구독자 관리
        lead capture, popups, popup builder, conversion optimization, convert visitors, drip campaigns
        sms marketing, push notifications for marketers, ad spend, ppc, pay per click, display ads
        native advertising, media buying, market research, brand monitoring, social listening
        social media scheduler, link building, serp, rank tracker, heatmaps, session replay for marketers
        attribution, customer data platform, loyalty program software, referral marketing, pr distribution
        press release distribution, event marketing, b2b marketing, growth hacking, seo audit, 네이버 광고
        구글 광고, 페이스북 광고, 인스타 광고, sns 광고, 온라인 광고, 광고 운영, 광고 캠페인, 광고 소재, 매체
        브랜딩, 고객 획득, 그로스, 리드 수집, 팝업 제작, 푸시 메시지, 문자 발송, 카카오 알림톡, 알림톡, 검색 노출
        상위 노출, seo 컨설팅, 트래픽 분석, 시장 조사, 언론 홍보, 보도자료 배포, 이벤트 마케팅, 추천인
        체험단 모집
        """),
        _words("""
        marketing, advertising, campaign, audience, conversion, analytics, newsletter, keyword, ads, leads
        engagement, growth, 광고, 홍보, 키워드, 유입, 잠재 고객, 타겟, 성과 분석, 뉴스레터, advertiser
        publisher ads, customers, subscribers, promotion, insight, funnel, reach, retention, click, outreach, 고객
        프로모션, 이벤트, 구독자, 클릭, 노출, 매출
        """),
    ),
    "System & Utilities": (
        _words("""
        antivirus, vpn, password manager, system cleaner, driver download, disk cleanup, remote desktop
        remote access, ip address lookup, my ip, speed test, internet speed, dns lookup, system monitor, benchmark
        screen capture, virus scanner, firewall, malware, two-factor authentication, single sign-on
        unit converter, qr code generator, url shortener, password generator, pc optimization, device driver
        firmware, uninstaller, clipboard manager, battery health, online calculator, technical support, ad blocker
        barcode, 백신 프로그램, 백신, 바이러스 검사, 악성코드, 방화벽, 비밀번호 관리, 원격 제어, 원격 지원
        원격 접속, 드라이버 다운로드, 드라이버, 디스크 정리, pc 최적화, 컴퓨터 최적화, 내 아이피, 아이피 조회
        인터넷 속도 측정, 속도 측정, 시스템 정보, 화면 캡처, 캡처 프로그램, 단위 변환, qr코드 생성, qr 코드
        단축 url, 유틸리티, 펌웨어, 본인 인증, 2단계 인증, 고객지원 센터, 기술 지원, 계산기, 광고 차단, online vpn
        vpn service, private internet, cybersecurity, anti-malware, ransomware, encryption tool, dns, ip lookup
        ping test, uptime, wifi analyzer, cpu, gpu driver, disk space, registry cleaner, screenshot tool
        random generator, timer online, stopwatch, converter, zip code lookup, browser extension, remote control
        국민 백신, 랜섬웨어, 보안 프로그램, 인증서, 공동인증서, 속도 테스트, ip 확인, 아이피 확인, 글자수 세기
        변환 도구, 스톱워치, 타이머, 녹화 프로그램, 화면 보호기, 하드웨어 정보, 도구 모음, qr code, qr generator
        protect your passwords, password vault, passkey, authenticator, spyware, adware, antispyware
        parental control, web proxy, proxy server, anonymous browsing, whois, port scanner, ssl checker
        system tools, driver updater, windows activation, iso download, boot usb, partition manager, defrag
        overclocking, cpu benchmark, temperature monitor, keyboard tester, mouse test, screen test
        color blindness test, online timer, countdown, world clock, currency converter, unit conversion
        time zone converter, hash generator, base64, text diff, lorem ipsum, device manager, printer setup
        router setup, smart home, iot hub, remote support, tech support, pc repair, software download, freeware
        비밀번호 생성, 비밀번호를 안전하게, 비밀번호 보관, 보안 인증, otp, 인증 앱, 스파이웨어, 프록시, 포트 확인
        프린터 설치, 공유기 설정, 컴퓨터 수리, 윈도우 설치, 프로그램 다운로드, 무료 프로그램, 시스템 복구, 발열
        온도 확인, 벤치마크, 키보드 테스트, 마우스 테스트, 세계 시간, 나이 계산, 날짜 계산, 단위 변환기
        맞춤법 검사, 자녀 보호, 스마트홈
        """),
        _words("""
        utility, system, driver, security, privacy, windows, network, cleaner, scan, device, install, diagnostics
        tool, protect, 시스템, 보안, 윈도우, 네트워크, 설치, 장치, 진단, 최적화, 측정, 보호, password, computer
        pc, laptop, software, battery, monitor, printer, bluetooth, wifi, usb, backup tool, generator, calculator
        checker, 비밀번호, 컴퓨터, 프로그램, 프린터, 와이파이, 배터리, 점검, 검사, 생성기, 확인
        """),
    ),
    "Meetings": (
        _words("""
        video conferencing, video conference, video meeting, online meeting, web conferencing, virtual meeting
        webinar, screen sharing, meeting room, meeting transcription, meeting minutes, conference call
        virtual event, meeting recorder, book a meeting room, hybrid meeting, 화상 회의, 영상 회의, 온라인 회의
        비대면 회의, 웨비나, 화면 공유, 회의록, 회의실, 컨퍼런스 콜, 온라인 행사, 회의 녹음, 화상 미팅
        meeting assistant, voip, team meeting, online events, event platform, conferencing, video call
        breakout room, town hall, meeting app, 화상 통화, 회의 예약, 회의 일정, 온라인 세미나, 비대면 미팅
        회의실 예약, 원격 회의, calls with clients, audio conference, video chat rooms for teams
        schedule a meeting, meeting scheduling, one-on-one meetings, standup meetings, all-hands
        virtual classroom meetings, webcast, live event streaming platform, meeting summary, meeting recording
        transcribe meetings, interview recording, meeting space, coworking meeting rooms, conference room
        event registration, 화상 면접, 화상 상담, 화상 강의실, 원격 화상, 온라인 미팅, 미팅 예약, 미팅룸
        회의 요약, 회의 기록, 회의 녹화, 음성 회의, 전화 회의, 컨퍼런스, 세미나, 행사 등록, 온라인 컨퍼런스
        실시간 회의
        """),
        _words("""
        meeting, conference, host, attendee, call, invite, transcript, 회의, 미팅, 참석자, 참가자, 발표자, 통화
        초대, participant, speaker, session, schedule call, minutes, remote team, agenda item, 참여자, 발언, 녹취
        원격, 토론
        """),
    ),
    "SNS": (
        _words("""
        social network, social networking, social media platform, online community, community forum
        discussion forum, message board, forum, imageboard, blogging platform, microblog
        share photos with friends, meet new people, dating, dating app, find friends, fan community, chat rooms
        follow your friends, anonymous board, fediverse, 소셜 네트워크, 커뮤니티 사이트, 온라인 커뮤니티, 게시판
        자유게시판, 포럼, 카페 모임, 동호회, 블로그 서비스, 소개팅, 데이팅, 친구 만들기, 친구와 소통, 팬 커뮤니티
        익명 게시판, 맘카페, 소모임, 팔로우, 갤러리 게시판, 동네 친구, 커뮤니티 포털, 대학 커뮤니티, 지역 커뮤니티
        network of communities, social media, social app, share your moments, 온라인 모임, 유머 게시판, 덕질
        moms community, parents community, hobby club, fan forum, discussion boards, q&a community
        chat with strangers, random chat, voice chat rooms, follow people, share your story, share photos
        photo sharing, personal blog, blog platform, start a blog, microblogging, short posts, group chat
        messaging app, messenger, pen pals, language exchange friends, meetups, local groups, matchmaking, singles
        anonymous chat, confession, memes community, link in bio, 엄마들의 커뮤니티, 육아 커뮤니티, 취미 모임
        취미 공유, 오픈채팅, 단체 채팅, 랜덤 채팅, 메신저, 펜팔, 결혼 정보, 미팅 상대, 이성 친구, 인연, 동네 모임
        동네 소식, 일상 공유, 사진 공유, 블로그, 일기 공유, 질문 게시판, 유저 모임, 동창, 소개팅 앱, 수다
        고민 상담 게시판, 중년 친구, 반려인 모임
        """),
        _words("""
        community, friends, follow, post, profile, share, members, discussion, feed, thread, comment, blog, 친구
        소통, 댓글, 회원, 게시글, 피드, 채팅, 이야기, 공유, 만남, 커뮤니티, 모임, people, groups, social, meet
        messages, diary, interests, together, conversation, likes, 사람들, 함께, 일상, 취미, 동네, 나누는, 질문
        답변, 회원들, 게시물
        """),
    ),
    "Entertainment": (
        _words("""
        watch movies, movie, tv series, anime, webtoon, web novel, manga, comics, music streaming, video streaming
        streaming service, live streaming, drama, k-pop, kpop, celebrity, box office, film reviews, concert
        concert tickets, soccer, football, baseball, basketball, sports news, podcast, radio station, karaoke
        lyrics, album, playlist, stand-up comedy, film festival, watch live, funny videos, sports scores
        fan fiction, 영화, 드라마, 예능, 애니메이션, 애니, 웹툰, 웹소설, 만화, 음악 스트리밍, 음악 감상, 다시보기
        실시간 방송, 방송국, 인터넷 방송, 스트리밍, 연예, 아이돌, 케이팝, 콘서트, 공연, 뮤지컬, 축구, 야구, 농구
        스포츠 중계, 경기 일정, 팟캐스트, 라디오, 노래방, 가사, 영화관, 극장, 개봉작, 박스오피스, 팬픽, 유머
        watch online, songs, music service, digital music, tv show, live scores, highlights, watch tv, boxing
        golf, tennis, formula 1, horror, fan club, theater, theatre, musical, cinema, trailers, 최신음악
        음악 차트, 온에어, 상영작, 상영 중, 예매, 하이라이트, 팬덤, 가수, 만화책, 연재, 웹 드라마, 프로야구
        프로축구, 골프, e-book 소설, 소설 연재, 밈, 짤, 개그, 클립 영상, 영화배우, live football, fixtures
        match reports, league tables, sports betting odds, fantasy football, box scores, olympics, wrestling, ufc
        marathon, serial novels, light novel, comic strips, cartoons, animated series, documentaries, on-demand
        live tv, iptv, radio shows, audiobooks, dj mixes, music videos, concert listings, gig guide
        ticketing for concerts, movie reviews, film news, celebrity news, gossip, reality shows, quiz show
        magic show, amusement park, theme park, zoo tickets, comedy, stand-up, horror movies, k-drama, idols
        fandom, fan art, lyrics search, guitar tabs, karaoke songs, piano covers, 연재 만화, 만화와 소설, 정주행
        무료 만화, 소설, 라이트노벨, 판타지 소설, 로맨스 소설, 오디오북, 음원 차트, 신곡, 뮤직비디오, 라이브 방송
        개인 방송, 비제이, 스트리머, 경기 결과, 경기 중계, 리그 순위, 스포츠 뉴스, 배구, 격투기, 올림픽, 월드컵
        예능 프로그램, 시사교양, 연극, 페스티벌, 놀이공원, 테마파크, 영화 리뷰, 영화 추천, 연예 뉴스, 아이돌 소식
        팬 사이트, 덕후, 심리 테스트
        """),
        _words("""
        watch, episode, music, show, stream, season, trailer, artist, fans, sports, league, entertainment, song
        방송, 음악, 노래, 시즌, 예고편, 팬, 스포츠, 리그, 오락, 회차, 배우 소식, tv, scores, match, matches
        team news, player stats, story, series, novel, dance, tour dates, 중계, 관람, 작가, 감상, 재미, 웃음, 경기
        선수, 주인공
        """),
    ),
    "Game": (
        _words("""
        video game, online game, browser game, mmorpg, rpg, multiplayer, esports, gameplay, game guide
        walkthrough, game wiki, indie game, mobile game, free to play, play games, gaming, minecraft, gacha
        card game, board game, puzzle game, chess, leaderboards, game server, first-person shooter, speedrun
        game mods, play free games, strategy game, gamers, 온라인 게임, 모바일 게임, 게임, 롤플레잉, 멀티플레이
        e스포츠, 이스포츠, 공략, 게이머, 인디게임, 보드게임, 퍼즐 게임, 길드, 캐릭터 육성, 사전예약, 신규 서버
        던전, 랭킹전, 전적 검색, 게임 아이템, 플레이어, 마인크래프트, 확률형 아이템, 클랜, games, play online
        playing games, game developer, game studio, console games, pc games, game news, mod, dungeon, raid
        tower defense, racing game, nintendo, playstation, xbox, steam games, 게임 커뮤니티, 게임 뉴스, 게임 순위
        온라인 rpg, mmorpg 게임, 소환사, 챔피언, 캐릭터 등급, 무기 강화, 레이드, 보스 공략, 게임사, 피파, 배틀로얄
        survival game, crafting game, sandbox game, multiplayer servers, game hosting, mmo, moba, battle royale
        roguelike, visual novel game, idle game, clicker game, simulation game, hidden object, sudoku, solitaire
        mahjong, poker, slots, casino games, bingo, trivia game, word game, crossword, dress up games, io games
        game jam, unity assets, unreal engine, speedrunning, game trainer, cheats, save games, achievements guide
        tier list, build guide, champion guide, patch history, clan wars, tabletop, dungeons and dragons
        trading card game, miniatures, retro games, emulator, roms, vr games, twitch drops, game key store
        디펜스 게임, 방치형, 수집형, 턴제, 액션 게임, 시뮬레이션 게임, 카드 게임, 고스톱, 맞고, 장기, 바둑, 오목
        스도쿠, 퀴즈 게임, 낱말 퍼즐, 플래시 게임, 웹게임, 무설치 게임, 게임 다운로드, 게임 공략, 게임 쿠폰
        리세마라, 덱 추천, 티어표, 티어 리스트, 직업 추천, 사냥터, 아이템 시세, 길드원 모집, 게임 서버, 서버 오픈
        업적, 콘솔 게임, 추억의 게임, 로스트아크, 리그 오브 레전드, 발로란트, 오버워치
        """),
        _words("""
        game, play, player, quest, boss, level, guild, pvp, arcade, puzzle, patch notes, loot, tournament, mods
        플레이, 아이템, 퀘스트, 몬스터, 업데이트 안내, 레벨, 무기, 전투, 서버 점검, 토너먼트, crafting, survival
        skins, heroes, hero, character, battle, dragons, weapon, mission, rank, co-op, controller, 캐릭터, 스킬
        영웅, 던전앤, 랭킹, 미션, 보상, 모험, 용사, 대전, 확장팩
        """),
    ),
    "E-commerce & Shopping": (
        _words("""
        online shop, online store, online shopping, shopping mall, free shipping, add to cart, shopping cart
        buy online, sale up to, marketplace, price comparison, compare prices, coupons, gift shop, fashion store
        clothing store, grocery delivery, food delivery, hotel booking, book hotels, hotels, flights
        cheap flights, airline, vacation rental, real estate, apartments for rent, car rental, wholesale
        women's clothing, men's clothing, sneakers, cosmetics, furniture, home appliances, order tracking
        parcel tracking, best price, discount, used cars, 쇼핑몰, 온라인 쇼핑, 쇼핑, 무료 배송, 당일 배송
        새벽배송, 장바구니, 최저가, 가격 비교, 할인, 특가, 쿠폰, 중고 거래, 중고차, 여성의류, 남성의류, 패션, 의류
        신발, 화장품, 가구, 가전, 반찬, 배달, 호텔 예약, 호텔, 숙소, 항공권, 여행 상품, 여행사, 펜션, 렌터카
        부동산, 매물, 전세, 도매, 택배 조회, 스토어, 상품, 구매 후기, free delivery, low prices, buy & sell
        buy and sell, price guarantee, shop online, home furnishings, jewelry, jewellery, skincare, handmade
        outlet, clearance, subscription box, tickets and tours, restaurant, order online, takeaway
        property for sale, rent a car, holiday, resort, tours, 로켓배송, 쇼핑하기, 실거래가, 원룸, 오피스텔, 분양
        맛집, 배달 앱, 치킨, 피자, 국내호텔, 해외숙소, 리조트, 캠핑장 예약, 여행자, 티켓 예매, 선물하기, 공동구매
        직구, 원피스, 니트, 식품, 신선식품, 꽃배달, 안경, 주얼리, 쥬얼리, vacation homes, apartments to rent
        homes for sale, houses for sale, to rent by the night, bed and breakfast, guesthouse, hostel, cruises
        city breaks, package tours, train tickets, bus tickets, airport transfer, second hand, thrift
        vintage clothing, streetwear, dresses, handbags, watches, running shoes, sportswear, lingerie
        baby clothes, toys, pet food, pet supplies, garden centre, power tools, hardware store, electronics store
        laptops, smartphones, phone cases, kitchenware, bedding, mattresses, lighting, rugs, flowers, wine
        coffee beans, tea shop, chocolate, bakery, organic food, supermarket, meal kits, vitamins, supplements
        perfume, makeup, hair care, spare parts, auto parts, bikes, car dealership, auction, daily deals, voucher
        promo code, flash sale, cashback shopping, gift cards, group buying, dropshipping store, furniture store
        bookshop, bookstore, free returns, next-day delivery, in stock, new arrivals, best sellers, 러닝화, 운동화
        구두, 가방, 지갑 쇼핑, 시계, 액세서리, 속옷, 아동복, 유아용품, 장난감, 반려동물 용품, 사료, 캠핑용품
        낚시용품, 자전거, 자동차 용품, 타이어, 공구, 조명, 침구, 매트리스, 커튼, 그릇, 주방용품, 생활용품, 문구
        서점, 도서 구매, 커피 원두, 와인, 과일, 정육, 수산물, 건강식품, 영양제, 향수, 스킨케어, 뷰티, 헤어
        최대 50% 세일, 세일, 오늘출발, 당일출고, 신상품, 베스트 상품, 기획전, 적립금, 무료 반품, 사은품, 경품
        상품권, 기프티콘, 핫딜, 공구 마켓, 스마트스토어, 직거래, 산지직송, 민박, 게스트하우스, 캠핑장, 글램핑
        패키지여행, 해외여행, 국내여행, 크루즈, 기차표, 월세, 아파트, 빌라, 오피스 임대, 상가, 이사 견적
        청소 서비스, 인테리어 소품
        """),
        _words("""
        shop, store, buy, sale, price, order, delivery, shipping, deal, product, checkout, booking, gift, travel
        fashion, collection, returns, 구매, 판매, 주문, 배송, 가격, 예약, 선물, 매장, 여행, 교환, 환불, 신상
        shopping, sale items, stock, sizes, colors available, customers say, rent, rental, hotel deals, trip, tour
        menu, nights, bargain, wear, accessories, 할인가, 사이즈, 세트, 정품, 수제, 인기 상품, 당일, 렌탈, 대여
        메뉴, 출고, 입고
        """),
    ),
}
NEUTRAL = _words("""
주식회사, 개인정보, 이용약관, 서비스 이용, 고객센터, 공식 홈페이지, 공식홈페이지, 홈페이지, 메인 페이지, 쿠키 정책
정보 보호, 통합 검색, 보험 없이, 게임 체인저, 커뮤니티 가이드, 기사님, 회의적, 회원가입, 회원 가입, 로그인
안내드립니다, 강의실 대관, game changer, game-changer, open source license, privacy policy, terms of service
terms of use, cookie policy, all rights reserved, contact us, log in, sign in, sign up, customer support
news and updates, blog posts, powered by, javascript is disabled, enable javascript, welcome to, play a role
in order to, credit to, code of conduct
""")


@cache
def _automaton() -> Any:
    """Finds needles; each has its length, and the category, the phrase and the units that it says."""
    automaton = ahocorasick.Automaton()
    said = [("", phrase, 0.0) for phrase in NEUTRAL]
    for category, (sure, likely) in LEXICON.items():
        said += [(category, phrase, _LIKELY) for phrase in likely] + [(category, phrase, _SURE) for phrase in sure]
    for each in said:
        for needle in _needles(each[1]):
            automaton.add_word(needle, (len(needle), each))
    automaton.make_automaton()
    return automaton


def _needles(phrase: str) -> Iterator[str]:
    """How a phrase stands in a folded text. Several English words are joined by hyphens as well."""
    text = _folded(phrase).strip()
    if not _ENGLISH.search(text):
        yield text
        yield text.replace(" ", "")
        return
    left, right = (" " if edge.isascii() else "" for edge in (text[0], text[-1]))
    for spelling in {text, text.replace(_SPACE, "-")}:
        yield f"{left}{spelling}{right}"
        if right and not text.endswith("s"):
            yield f"{left}{spelling}s{right}"
        if right and text.endswith("y"):
            yield f"{left}{spelling[:-1]}ies{right}"


def _folded(text: str) -> str:
    """Words in lower case with two spaces between them, and around all."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _SPACE + _BREAKS.sub(_SPACE, folded.replace(" ", _SPACE)).replace("\n", _SPACE).strip() + _SPACE


def _found_in(text: str) -> Iterator[tuple[str, str, float]]:
    """The words of the lexicon in a text: of those that overlap, the one that begins first, and then the longest."""
    text = _folded(text)
    matches = [(end - length, -length, said) for end, (length, said) in _automaton().iter(text)]
    reached = -1
    for start, negative, said in sorted(matches):
        if start >= reached:
            reached = start - negative
            yield said


def evidence_of_words(facts: PageFacts) -> list[SiteEvidence]:
    """What title, keywords and description say, the category with the most words first; each word counts once."""
    units: dict[str, dict[str, float]] = {}
    for text, factor in ((facts.title, _TITLE_COUNTS), (facts.keywords, 1.0), (facts.description, 1.0)):
        for category, phrase, weight in _found_in(text):
            if category:
                units.setdefault(category, {}).setdefault(phrase, weight * factor)
    found = sorted(units.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    return [
        SiteEvidence(
            EvidenceKind.WORDS,
            ", ".join(list(words)[:_SHOWN]),
            category,
            round(min(1 - _A_WORD ** sum(words.values()), _MOST), 3),
        )
        for category, words in found
    ]
