/** All that the script shows to people. */
export const words = {
  title: "Where do your notifications go?",
  why: (site: string) => `${site} would like to notify you through your own Belfry server. Its address is remembered here.`,
  label: "Address of your server",
  placeholder: "push.example.org",
  go: "Continue",
  cancel: "Cancel",
};
