// Pages that the server makes have the theme that was chosen in the console, if one was.

const theme = localStorage.getItem("pomocore-theme");
if (theme) document.documentElement.dataset.theme = theme;
